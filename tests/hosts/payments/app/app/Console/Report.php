<?php
// Copyright: Logward contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Console;

use App\Whoami;
use Illuminate\Console\Command;
use Illuminate\Support\Facades\Log;

final class Report extends Command
{
    protected $signature = 'payments:report';
    protected $description = 'Report the settled payments (run by cron)';

    public function handle(): int
    {
        Log::info('payments reported', ['user' => Whoami::user()]);

        return 0;
    }
}
