<?php
// Copyright: Logward contributors
// SPDX-License-Identifier: GPL-3.0-or-later

return [
    'default' => 'none',
    'connections' => [],
    'migrations' => 'migrations',
];
