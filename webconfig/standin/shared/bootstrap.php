<?php

/**
 * What libraries of an app ask of the framework.
 */

define('CLEAROS_ERROR', -1);
define('CLEAROS_WARNING', -2);
define('CLEAROS_INFO', -4);
define('CLEAROS_DEBUG', -8);
define('CLEAROS_TEMP_DIR', rtrim((string)getenv('DATASTORE_WEB_TMP'), '/'));

/** Where apps are: the project's, then those of the stand-in. */
define('STANDIN_APPS', [dirname(__DIR__, 2) . '/apps', dirname(__DIR__) . '/apps']);

/** The directory of an app, or NULL. */
function clearos_app_base($app)
{
    foreach (STANDIN_APPS as $path) {
        if (preg_match('/\A[a-z0-9_]+\z/', $app) && is_dir("$path/$app/deploy"))
            return "$path/$app";
    }

    return NULL;
}

/** Loads `app/Library`; says whether it is there. */
function clearos_load_library($library)
{
    list($app, $name) = explode('/', $library, 2);
    // Where app-storage is not installed, its one class is the drop-in of the data store, which a package puts there.
    $file = $library === 'storage/Storage' ? clearos_app_base('datastore') . '/packaging/Storage.php' : clearos_app_base($app) . "/libraries/$name.php";
    if (!file_exists($file))
        return FALSE;
    include_once $file;

    return TRUE;
}

/** Loads the texts of an app: English ones, and over them those of the reader's language. */
function clearos_load_language($app)
{
    global $standin_texts, $standin_loaded;

    if (isset($standin_loaded[$app]))
        return;
    $standin_loaded[$app] = TRUE;
    foreach (array_unique(['en_US', clearos_language()]) as $language) {
        $file = clearos_app_base($app) . "/language/$language/{$app}_lang.php";
        if (!file_exists($file))
            continue;
        $lang = [];
        include $file;
        $standin_texts = array_filter($lang, 'strlen') + ($standin_texts ?? []);
    }
}

/** A text; its key between stars where there is none. */
function lang($key)
{
    global $standin_texts;

    return $standin_texts[$key] ?? "**$key**";
}

/** The reader's language, if an app could have it: that of `DATASTORE_WEB_LANGUAGE`, else the one that the browser likes best. */
function clearos_language()
{
    $asked = (string)getenv('DATASTORE_WEB_LANGUAGE');
    if ($asked === '')
        $asked = substr((string)($_SERVER['HTTP_ACCEPT_LANGUAGE'] ?? ''), 0, 2);

    return preg_match('/\A[a-z]{2}\z/', $asked) && $asked !== 'en' ? $asked : 'en_US';
}

function clearos_exception_message($exception)
{
    return method_exists($exception, 'get_message') ? $exception->get_message() : $exception->getMessage();
}

function clearos_exception_code($exception)
{
    return $exception->getCode();
}

function clearos_app_htdocs($app)
{
    return "/approot/$app/htdocs";
}

function clearos_app_installed($app)
{
    $base = clearos_app_base($app);

    return $base !== NULL && is_dir("$base/controllers");
}

function clearos_library_installed($library)
{
    list($app, $name) = explode('/', $library, 2);

    return file_exists(clearos_app_base($app) . "/libraries/$name.php");
}

function clearos_log($tag, $message)
{
    error_log("$tag: $message");
}

function clearos_profile($method, $line, $message = NULL)
{
}
