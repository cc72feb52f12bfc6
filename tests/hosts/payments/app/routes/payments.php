<?php
// Copyright: Logward contributors
// SPDX-License-Identifier: GPL-3.0-or-later

use Illuminate\Support\Facades\Route;

Route::match(['GET', 'POST'], '/pay', 'App\PaymentController@pay');
