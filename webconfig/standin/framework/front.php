<?php

/**
 * From a request to a controller's method.
 */
class Standin_Front
{
    /** What may be sent as it is, by the end of its name. */
    const TYPES = ['css' => 'text/css', 'svg' => 'image/svg+xml'];

    public function serve()
    {
        // What PHP grumbles about is a defect, not a line of a log.
        set_error_handler(function ($level, $message, $file, $line) {
            if (!(error_reporting() & $level))
                return FALSE;
            throw new ErrorException($message, 0, $level, $file, $line);
        });
        header("Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
            . "base-uri 'none'; frame-ancestors 'none'");
        header('X-Content-Type-Options: nosniff');
        header('Referrer-Policy: same-origin');
        try {
            // As it stands there: like the framework, what is between two slashes is not decoded.
            $this->answer((string)parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
        } catch (Throwable $e) {
            error_log((string)$e);
            http_response_code(500);
            standin_page(lang('base_ooops'), infobox_critical(lang('base_error'), htmlspecialchars($e->getMessage(), ENT_QUOTES)));
        }
    }

    private function answer($path)
    {
        clearos_load_language('base');
        if (preg_match('#\A/(?:theme/standin\.css|approot/([a-z0-9_]+)/htdocs/([a-z0-9_.]+))\z#', $path, $found)) {
            $this->file(isset($found[1]) ? clearos_app_base($found[1]) . '/htdocs/' . $found[2] : dirname(__DIR__) . '/theme/standin.css');
            return;
        }
        if (!is_dir(CLEAROS_TEMP_DIR) || !is_writable(CLEAROS_TEMP_DIR))
            throw new Exception('DATASTORE_WEB_TMP has to name a directory that the web server can write to');
        session_start(['save_path' => CLEAROS_TEMP_DIR, 'name' => 'datastore_session', 'cookie_httponly' => TRUE, 'cookie_samesite' => 'Strict',
            'cookie_secure' => !empty($_SERVER['HTTPS']), 'use_strict_mode' => TRUE]);
        if (!$this->let_in())
            return;
        if ($path === '/' || $path === '/app') {
            redirect('/datastore');
        }
        $this->furnish($path);
        if ($_SERVER['REQUEST_METHOD'] === 'POST' && !get_instance()->security->verify()) {
            http_response_code(403);
            standin_page(lang('base_ooops'), infobox_warning(lang('base_ooops'), lang('base_token_wrong')));
            return;
        }
        $this->dispatch();
    }

    /** Sends a file of an app or of the theme. */
    private function file($path)
    {
        if (preg_match('/\.js\.php\z/', $path) && is_file($path)) {
            include $path;
            return;
        }
        $type = self::TYPES[pathinfo($path, PATHINFO_EXTENSION)] ?? NULL;
        if ($type === NULL || !is_file($path)) {
            http_response_code(404);
            return;
        }
        header("Content-Type: $type");
        readfile($path);
    }

    /** Whether the reader is let in; else the page says how. */
    private function let_in()
    {
        $file = (string)getenv('DATASTORE_WEB_TOKEN');
        $token = $file === '' ? '' : trim((string)@file_get_contents($file));
        if (strlen($token) >= 16 && is_string($_GET['token'] ?? NULL) && hash_equals($token, $_GET['token'])) {
            session_regenerate_id(TRUE);
            $_SESSION['let_in'] = hash('sha256', $token);
            redirect('/datastore');
        }
        if (!empty($_SERVER['REMOTE_USER']))
            return TRUE;
        // A new token shuts out whoever came with the old one.
        if ($token !== '' && hash_equals(hash('sha256', $token), (string)($_SESSION['let_in'] ?? '')))
            return TRUE;
        http_response_code(403);
        standin_page(lang('base_no_entry'), infobox_warning(lang('base_no_entry'), lang('base_no_entry_help')));

        return FALSE;
    }

    private function furnish($path)
    {
        $framework = get_instance();
        $framework->config = new Standin_Config();
        $framework->uri = new Standin_Uri();
        $framework->uri->segments = array_values(array_filter(explode('/', (string)preg_replace('#\A/app/#', '', $path)), 'strlen'));
        $framework->input = new Standin_Input();
        $framework->session = new Standin_Session();
        $framework->security = new Standin_Security();
        $framework->lang = new Standin_Lang();
        $framework->load = new Standin_Loader();
        $framework->page = new MY_Page();
        $framework->form_validation = new Standin_Validation();
    }

    /** Calls the method that the address names: /app/APP[/CONTROLLER[/METHOD[/ARGUMENT...]]]. */
    private function dispatch()
    {
        $segments = get_instance()->uri->segments;
        $app = $segments[0] ?? '';
        $is_odd = array_filter($segments, function ($segment) { return !preg_match('/\A[a-z 0-9~%.:_\-]+\z/i', $segment); });
        if ($is_odd || !clearos_app_installed($app))
            return $this->not_found();
        $controllers = clearos_app_base($app) . '/controllers';
        $rest = array_slice($segments, 1);
        $name = $app;
        if (isset($rest[0]) && preg_match('/\A[a-z_]+\z/', $rest[0]) && is_file("$controllers/{$rest[0]}.php"))
            $name = array_shift($rest);
        $method = array_shift($rest) ?? 'index';
        require_once "$controllers/$name.php";
        $class = ucfirst($name);
        $controller = new $class();
        if ($method[0] === '_' || !is_callable([$controller, $method]) || !method_exists($controller, $method))
            return $this->not_found();
        if (count($rest) > (new ReflectionMethod($controller, $method))->getNumberOfParameters())
            return $this->not_found();
        $controller->$method(...$rest);
    }

    private function not_found()
    {
        http_response_code(404);
        standin_page(lang('base_not_found'), infobox_warning(lang('base_not_found'), ''));
    }
}
