<?php
// Copyright: Logward contributors
// SPDX-License-Identifier: GPL-3.0-or-later

// Debian ships Laravel as packages of its own, so there is no vendor/ directory:
// the framework comes from its include path, the application's classes from app/.
require_once '/usr/share/php/Illuminate/autoload.php';

spl_autoload_register(static function (string $class): void {
    if (strncmp($class, 'App\\', 4) === 0) {
        $file = dirname(__DIR__).'/app/'.strtr(substr($class, 4), '\\', '/').'.php';
        if (is_file($file)) {
            require $file;
        }
    }
});
