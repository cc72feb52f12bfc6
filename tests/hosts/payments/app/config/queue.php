<?php
// Copyright: Logward contributors
// SPDX-License-Identifier: GPL-3.0-or-later

return [
    'default' => 'sync',
    'connections' => ['sync' => ['driver' => 'sync']],
    'failed' => ['driver' => 'null'],
];
