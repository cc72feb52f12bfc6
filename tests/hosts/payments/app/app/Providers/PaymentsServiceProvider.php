<?php
// Copyright: Logward contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App\Providers;

use App\Console\Report;
use App\Console\Settle;
use Illuminate\Support\ServiceProvider;

final class PaymentsServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        $this->loadRoutesFrom($this->app->basePath('routes/payments.php'));
        $this->commands([Report::class, Settle::class]);
    }
}
