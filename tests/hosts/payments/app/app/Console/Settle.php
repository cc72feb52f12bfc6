<?php
// Copyright: Logward contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Console;

use App\Whoami;
use Illuminate\Console\Command;
use Illuminate\Support\Facades\Log;

final class Settle extends Command
{
    protected $signature = 'payments:settle';
    protected $description = 'Settle payments for ever (the queue worker)';

    // As with Laravel's own worker, an exception of the logger ends the process
    // with an error, and supervisor starts the next one.
    public function handle(): int
    {
        while (true) {
            Log::info('payment settled', ['user' => Whoami::user()]);
            sleep(1);
        }
    }
}
