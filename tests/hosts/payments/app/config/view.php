<?php
// Copyright: Logward contributors
// SPDX-License-Identifier: GPL-3.0-or-later

// Views: only the framework's own error pages.
return [
    'paths' => [resource_path('views')],
    'compiled' => storage_path('framework/views'),
];
