<?php

/**
 * A page.
 */
class MY_Page
{
    const TYPE_CONFIGURATION = 'configuration';
    const TYPE_WIDE_CONFIGURATION = 'wide_configuration';
    const TYPE_SPLASH = 'splash';
    const TYPE_REPORT = 'report';
    const TYPE_EXCEPTION = 'exception';

    public function set_message($message, $code = 'warning', $title = NULL)
    {
        $title = $title ? $title : lang($code === 'warning' ? 'base_warning' : 'base_information');
        get_instance()->session->set_userdata('message', ['text' => $message, 'code' => $code, 'title' => $title]);
    }

    public function set_status_added()
    {
        $this->set_message(lang('base_item_was_added'), 'highlight');
    }

    public function set_status_deleted()
    {
        $this->set_message(lang('base_item_was_deleted'), 'highlight');
    }

    public function set_status_updated()
    {
        $this->set_message(lang('base_system_updated'), 'highlight');
    }

    public function view_form($form, $data, $title, $options = [])
    {
        $load = get_instance()->load;
        if (get_instance()->form_only)
            $load->view($form, $data);
        else
            $this->show($title, $load->view($form, $data, TRUE), $options);
    }

    public function view_controllers($controllers, $title, $options = [])
    {
        get_instance()->form_only = TRUE;
        ob_start();
        foreach ($controllers as $controller) {
            get_instance()->load->module($controller);
            get_instance()->{basename($controller)}->index();
        }
        $views = ob_get_clean();
        get_instance()->form_only = FALSE;
        $this->show($title, $views, $options);
    }

    public function view_forms($forms, $title)
    {
        $this->view_controllers($forms, $title);
    }

    public function view_exception($exception)
    {
        $message = clearos_exception_message($exception);
        if (get_instance()->form_only) {
            echo infobox_warning(lang('base_error'), "<p>$message</p>");
            return;
        }
        $back = '<p>' . anchor_custom('/app/' . get_instance()->uri->segment(1), lang('base_back')) . '</p>';
        $this->show(lang('base_ooops'), infobox_warning(lang('base_ooops'), $message) . $back, ['type' => self::TYPE_EXCEPTION]);
    }

    public function view_confirm($message, $confirm, $cancel, $options = [])
    {
        $buttons = button_set([anchor_ok($confirm), anchor_cancel($cancel)]);
        $this->show(lang('base_confirm'), infobox_warning(lang('base_confirm'), "<p>$message</p>$buttons"), $options);
    }

    /** The whole page. */
    private function show($title, $view, $options)
    {
        $app = (string)get_instance()->uri->segment(1);
        $head = '';
        $htdocs = clearos_app_base($app) . '/htdocs';
        if (file_exists("$htdocs/$app.css"))
            $head .= "<link rel='stylesheet' href='" . clearos_app_htdocs($app) . "/$app.css'>\n";
        if (file_exists("$htdocs/$app.js.php"))
            $head .= "<script src='" . clearos_app_htdocs($app) . "/$app.js.php'></script>\n";
        $message = get_instance()->session->userdata('message');
        get_instance()->session->unset_userdata('message');
        if (is_array($message))
            $view = theme_infobox($message['code'], $message['title'], $message['text']) . $view;
        $wide = ($options['type'] ?? '') === self::TYPE_WIDE_CONFIGURATION ? 'wide' : 'narrow';
        standin_page($title, $view, $head, $wide);
    }
}

/** Prints a page. */
function standin_page($title, $view, $head = '', $width = 'narrow')
{
    $language = str_replace('_', '-', clearos_language());
    header('Content-Type: text/html; charset=UTF-8');
    header('Cache-Control: no-store');
    $title = htmlspecialchars($title, ENT_QUOTES);
    $host = htmlspecialchars((string)gethostname(), ENT_QUOTES);
    $html = "<!DOCTYPE html>\n<html lang='$language'>\n<head>\n<meta charset='utf-8'>\n<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        . "<title>$title - $host</title>\n<link rel='icon' href='" . clearos_app_htdocs('datastore') . "/datastore.svg'>\n"
        . "<link rel='stylesheet' href='/theme/standin.css'>\n$head</head>\n<body>\n<header><span>$host</span></header>\n<main class='$width'>\n<h1>$title</h1>\n"
        . "$view</main>\n</body>\n</html>\n";
    // How long PHP was at it, for whoever looks at what a page costs.
    header(sprintf('Server-Timing: php;dur=%.2F', 1000 * (microtime(TRUE) - $_SERVER['REQUEST_TIME_FLOAT'])));
    echo $html;
}
