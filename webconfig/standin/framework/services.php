<?php

/**
 * What the framework has for controllers: input, session, token, language, validation, loader.
 */

/** What a controller, a view and a helper reach as `get_instance()`. */
class Standin_Framework
{
    public $form_only = FALSE;
    public $config;
    public $uri;
    public $input;
    public $session;
    public $security;
    public $lang;
    public $load;
    public $page;
    public $form_validation;

    /** Libraries that the loader has loaded, and modules. */
    private $loaded = [];

    public function __set($name, $value)
    {
        $this->loaded[$name] = $value;
    }

    public function __get($name)
    {
        return $this->loaded[$name] ?? NULL;
    }

    public function __isset($name)
    {
        return isset($this->loaded[$name]);
    }
}

function &get_instance()
{
    static $framework = NULL;
    if ($framework === NULL)
        $framework = new Standin_Framework();

    return $framework;
}

function redirect($uri)
{
    header('Location: /app/' . ltrim($uri, '/'), TRUE, 303);
    exit;
}

function uri_string()
{
    return implode('/', get_instance()->uri->segments);
}

class Standin_Config
{
    public function site_url($uri)
    {
        return '/app/' . ltrim($uri, '/');
    }
}

class Standin_Uri
{
    /** @var array what stands between the slashes after /app */
    public $segments = [];

    public function segment($n)
    {
        return $this->segments[$n - 1] ?? NULL;
    }

    public function uri_string()
    {
        return uri_string();
    }
}

class Standin_Input
{
    public function post($name)
    {
        return $_POST[$name] ?? NULL;
    }

    public function get($name)
    {
        return $_GET[$name] ?? NULL;
    }

    public function server($name)
    {
        return $_SERVER[$name] ?? NULL;
    }
}

class Standin_Session
{
    public function userdata($name)
    {
        return $_SESSION['userdata'][$name] ?? NULL;
    }

    public function set_userdata($name, $value)
    {
        $_SESSION['userdata'][$name] = $value;
    }

    public function unset_userdata($name)
    {
        unset($_SESSION['userdata'][$name]);
    }
}

/** Against requests that another site makes with the reader's session. */
class Standin_Security
{
    public function get_csrf_token_name()
    {
        return 'ci_csrf_token';
    }

    public function get_csrf_hash()
    {
        if (empty($_SESSION['token']))
            $_SESSION['token'] = bin2hex(random_bytes(16));

        return $_SESSION['token'];
    }

    public function verify()
    {
        $sent = $_POST[$this->get_csrf_token_name()] ?? '';

        return is_string($sent) && hash_equals($this->get_csrf_hash(), $sent);
    }
}

class Standin_Lang
{
    public function load($app)
    {
        clearos_load_language($app);
    }

    public function line($key)
    {
        return lang($key);
    }
}

class Standin_Validation
{
    private $policies = [];
    private $errors = [];

    public function set_policy($field, $library, $method, $is_required = FALSE, $check_existence = FALSE)
    {
        $this->policies[$field] = [$library, $method, $is_required];
    }

    public function set_error($field, $error)
    {
        $this->errors[$field] = $error;
    }

    public function run()
    {
        foreach ($this->policies as $field => list($library, $method, $is_required)) {
            $value = get_instance()->input->post($field);
            if ($value === NULL || $value === '') {
                if ($is_required)
                    $this->errors[$field] = lang('base_field_required');
                continue;
            }
            clearos_load_library($library);
            $class = '\clearos\apps\\' . str_replace('/', '\\', $library);
            $error = (new $class())->$method($value);
            if ($error)
                $this->errors[$field] = $error;
        }

        return $this->errors === [] && $_SERVER['REQUEST_METHOD'] === 'POST';
    }

    public function error($field)
    {
        return $this->errors[$field] ?? '';
    }
}

class Standin_Loader
{
    /** A view sees the variables of all views before it. */
    private $variables = [];

    public function library($library)
    {
        clearos_load_library($library);
        $class = '\clearos\apps\\' . str_replace('/', '\\', $library);
        $name = strtolower(basename($library));
        if (!isset(get_instance()->$name))
            get_instance()->$name = new $class();
    }

    public function module($controller)
    {
        list($app, $name) = explode('/', $controller, 2);
        require_once clearos_app_base($app) . "/controllers/$name.php";
        $class = ucfirst($name);
        get_instance()->$name = new $class();
    }

    public function helper($helper)
    {
    }

    public function view($view, $data = [], $return = FALSE)
    {
        $this->variables = array_merge($this->variables, (array)$data);
        ob_start();
        $this->show(clearos_app_base(get_instance()->uri->segment(1)) . "/views/$view.php");
        if ($return)
            return ob_get_clean();
        ob_end_flush();
    }

    private function show($standin_file)
    {
        extract($this->variables);
        include $standin_file;
    }

    public function __get($name)
    {
        return get_instance()->$name;
    }
}
