<?php
// Copyright: Logward contributors
// SPDX-License-Identifier: GPL-3.0-or-later

namespace App;

use Illuminate\Http\JsonResponse;
use Illuminate\Routing\Controller;
use Illuminate\Support\Facades\Log;

final class PaymentController extends Controller
{
    // Nothing here catches what the logger throws, as in most applications:
    // a payment whose log line cannot be written is answered with 500.
    public function pay(): JsonResponse
    {
        Log::info('payment accepted', ['user' => Whoami::user()]);

        return new JsonResponse(['status' => 'accepted']);
    }
}
