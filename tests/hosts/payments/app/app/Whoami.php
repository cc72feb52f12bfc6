<?php
// Copyright: Logward contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App;

final class Whoami
{
    /** The user this process runs as: every log line names its writer. */
    public static function user(): string
    {
        return posix_getpwuid(posix_geteuid())['name'];
    }
}
