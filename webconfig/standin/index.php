<?php

/**
 * The only entry: for `php -S ADDRESS index.php`, and for php-fpm with every request sent here.
 */

error_reporting(E_ALL);
ini_set('display_errors', '0');

require_once __DIR__ . '/shared/bootstrap.php';
putenv('CLEAROS_BOOTSTRAP=' . __DIR__ . '/shared');
require __DIR__ . '/framework/services.php';
require __DIR__ . '/framework/controller.php';
require __DIR__ . '/framework/widgets.php';
require __DIR__ . '/framework/page.php';
require __DIR__ . '/framework/front.php';

(new Standin_Front())->serve();
