<?php

/**
 * Widgets. As there, what they are given is printed as it is: whoever calls them escapes. Only what is on buttons is escaped here.
 */

function theme_infobox($type, $title, $message, $options = NULL)
{
    $id = isset($options['id']) ? " id='" . $options['id'] . "'" : '';
    $role = in_array($type, ['critical', 'warning'], TRUE) ? 'alert' : 'status';
    $buttons = isset($options['buttons']) ? button_set($options['buttons']) : '';

    return "<div class='infobox infobox-$type' role='$role'$id>\n<h2>$title</h2>\n<div>$message</div>$buttons</div>\n";
}

function infobox_critical($title, $message, $options = NULL) { return theme_infobox('critical', $title, $message, $options); }
function infobox_warning($title, $message, $options = NULL) { return theme_infobox('warning', $title, $message, $options); }
function infobox_highlight($title, $message, $options = NULL) { return theme_infobox('highlight', $title, $message, $options); }
function infobox_info($title, $message, $options = NULL) { return theme_infobox('info', $title, $message, $options); }

function theme_anchor($url, $text, $importance, $class, $options)
{
    $text = empty($options['no_escape_html']) ? htmlspecialchars($text, ENT_QUOTES) : $text;
    $id = isset($options['id']) ? " id='" . $options['id'] . "'" : '';
    $button = ['high' => 'btn-primary', 'important' => 'btn-primary', 'low' => 'btn-secondary'][$importance] ?? 'btn-link';

    return "<a href='$url'$id class='btn $button $class'>$text</a>";
}

function anchor_add($url, $importance = 'high', $options = NULL) { return theme_anchor($url, lang('base_add'), $importance, '', $options); }
function anchor_cancel($url, $importance = 'low', $options = NULL) { return theme_anchor($url, lang('base_cancel'), $importance, '', $options); }
function anchor_configure($url, $importance = 'high', $options = NULL) { return theme_anchor($url, lang('base_configure'), $importance, '', $options); }
function anchor_delete($url, $importance = 'low', $options = NULL) { return theme_anchor($url, lang('base_delete'), $importance, '', $options); }
function anchor_disable($url, $importance = 'high', $options = NULL) { return theme_anchor($url, lang('base_disable'), $importance, '', $options); }
function anchor_edit($url, $importance = 'high', $options = NULL) { return theme_anchor($url, lang('base_edit'), $importance, '', $options); }
function anchor_enable($url, $importance = 'high', $options = NULL) { return theme_anchor($url, lang('base_enable'), $importance, '', $options); }
function anchor_next($url, $importance = 'high', $options = NULL) { return theme_anchor($url, lang('base_next'), $importance, '', $options); }
function anchor_ok($url, $importance = 'high', $options = NULL) { return theme_anchor($url, lang('base_ok'), $importance, '', $options); }
function anchor_previous($url, $importance = 'high', $options = NULL) { return theme_anchor($url, lang('base_previous'), $importance, '', $options); }
function anchor_select($url, $importance = 'low', $options = NULL) { return theme_anchor($url, lang('base_select'), $importance, '', $options); }
function anchor_view($url, $importance = 'high', $options = NULL) { return theme_anchor($url, lang('base_view'), $importance, '', $options); }
function anchor_custom($url, $text, $importance = 'high', $options = NULL) { return theme_anchor($url, $text, $importance, '', $options); }

function theme_form_submit($name, $text, $importance)
{
    $button = $importance === 'low' ? 'btn-secondary' : 'btn-primary';

    return "<input type='submit' name='$name' value='" . htmlspecialchars($text, ENT_QUOTES) . "' class='btn $button'>\n";
}

function form_submit_custom($name, $text, $importance = 'high', $options = NULL) { return theme_form_submit($name, $text, $importance); }
function form_submit_add($name, $importance = 'high', $options = NULL) { return theme_form_submit($name, lang('base_add'), $importance); }
function form_submit_delete($name, $importance = 'low', $options = NULL) { return theme_form_submit($name, lang('base_delete'), $importance); }
function form_submit_disable($name, $importance = 'low', $options = NULL) { return theme_form_submit($name, lang('base_disable'), $importance); }
function form_submit_next($name, $importance = 'high', $options = NULL) { return theme_form_submit($name, lang('base_next'), $importance); }
function form_submit_ok($name, $importance = 'high', $options = NULL) { return theme_form_submit($name, lang('base_ok'), $importance); }
function form_submit_previous($name, $importance = 'high', $options = NULL) { return theme_form_submit($name, lang('base_previous'), $importance); }
function form_submit_select($name, $importance = 'high', $options = NULL) { return theme_form_submit($name, lang('base_select'), $importance); }
function form_submit_update($name, $importance = 'high', $options = NULL) { return theme_form_submit($name, lang('base_update'), $importance); }

function button_set($buttons, $options = NULL)
{
    return "<div class='buttons'>" . implode("\n", $buttons) . '</div>';
}

function field_button_set($buttons, $options = NULL)
{
    return button_set($buttons, $options);
}

function form_open($action = '', $attributes = [], $hidden = [], $options = [])
{
    $attributes = (array)$attributes + ['method' => 'post'];
    $form = "<form action='" . get_instance()->config->site_url($action) . "'";
    foreach ($attributes as $name => $value)
        $form .= " $name='$value'";
    $form .= '>';
    if ($attributes['method'] === 'post')
        $hidden[get_instance()->security->get_csrf_token_name()] = get_instance()->security->get_csrf_hash();
    foreach ($hidden as $name => $value)
        $form .= "<input type='hidden' name='" . htmlspecialchars($name, ENT_QUOTES) . "' value='" . htmlspecialchars($value, ENT_QUOTES) . "'>";

    return $form;
}

function form_close()
{
    return '</form>';
}

function form_header($title, $options = NULL)
{
    return "<div class='box'>" . ((string)$title === '' ? '' : "<h2>$title</h2>") . "<div class='box-body'>\n";
}

function form_banner($html, $options = NULL)
{
    return "<p>$html</p>\n";
}

function form_footer($options = NULL)
{
    return (isset($options['buttons']) ? button_set($options['buttons']) : '') . "</div></div>\n";
}

function fieldset_header($title, $options = NULL) { return "<fieldset><legend>$title</legend>\n"; }
function fieldset_footer() { return "</fieldset>\n"; }

function convert_to_id($name)
{
    return preg_replace('/[^A-Za-z0-9_-]/', '_', $name);
}

/** What was typed, or what was there. */
function set_value($name, $default = '')
{
    $sent = get_instance()->input->post($name);

    return htmlspecialchars((string)(is_string($sent) ? $sent : $default), ENT_QUOTES);
}

function form_error($name)
{
    return htmlspecialchars(get_instance()->form_validation->error($name), ENT_QUOTES);
}

/** A label, what belongs to it, and what is wrong with it. */
function standin_field($id, $label, $input, $error = '')
{
    $error = $error === '' ? '' : "<span class='field-error' id='{$id}_error' role='alert'>$error</span>";

    return "<div class='field' id='{$id}_field'><label for='$id'>$label</label><div>$input$error</div></div>\n";
}

function field_view($label, $text, $name = NULL, $value = NULL, $options = NULL)
{
    $id = convert_to_id((string)$name);
    $hidden = $name === NULL ? '' : "<input type='hidden' name='$name' value='$value' id='$id'>";

    return "<div class='field' id='{$id}_field'><span>$label</span><div><span id='{$id}_text'>" . nl2br((string)$text) . "</span>$hidden</div></div>\n";
}

function standin_input($type, $name, $value, $label, $read_only, $options)
{
    if ($read_only)
        return field_view($label, $value, $name, $value, $options);
    $id = $options['id'] ?? convert_to_id($name);
    $described = form_error($name) === '' ? '' : " aria-invalid='true' aria-describedby='{$id}_error'";

    return standin_field($id, $label, "<input type='$type' name='$name' id='$id' value='" . ($type === 'password' ? '' : set_value($name, $value)) . "'$described>",
        form_error($name));
}

function field_input($name, $value, $label, $read_only = FALSE, $options = NULL) { return standin_input('text', $name, $value, $label, $read_only, $options); }
function field_password($name, $value, $label, $read_only = FALSE, $options = NULL) { return standin_input('password', $name, $value, $label, $read_only, $options); }

function field_textarea($name, $value, $label, $read_only = FALSE, $options = NULL)
{
    $id = convert_to_id($name);

    return standin_field($id, $label, "<textarea name='$name' id='$id'" . ($read_only ? ' readonly' : '') . '>' . set_value($name, $value) . '</textarea>', form_error($name));
}

function field_dropdown($name, $values, $value, $label, $read_only = FALSE, $options = NULL)
{
    if ($read_only)
        return field_view($label, $values[$value] ?? '', $name, $value);
    $id = convert_to_id($name);
    $chosen = set_value($name, $value);
    $choices = '';
    foreach ($values as $key => $text)
        $choices .= "<option value='$key'" . ((string)$key === $chosen ? ' selected' : '') . ">$text</option>";

    return standin_field($id, $label, "<select name='$name' id='$id'>$choices</select>", form_error($name));
}

function field_simple_dropdown($name, $values, $value, $label, $read_only = FALSE, $options = NULL)
{
    return field_dropdown($name, array_combine($values, $values), $value, $label, $read_only, $options);
}

function field_toggle_enable_disable($name, $value, $label, $read_only = FALSE, $options = NULL)
{
    return field_dropdown($name, ['0' => lang('base_disable'), '1' => lang('base_enable')], $value, $label, $read_only, $options);
}

function field_checkbox($name, $value, $label, $read_only = FALSE, $options = NULL)
{
    $id = convert_to_id($name);

    return standin_field($id, $label, "<input type='checkbox' name='$name' id='$id' value='on'" . ($value ? ' checked' : '') . ($read_only ? ' disabled' : '') . '>');
}

function field_info($id, $label, $text, $options = NULL)
{
    return "<div class='field' id='{$id}_field'><span>$label</span><div id='{$id}_text'>$text</div></div>\n";
}

function field_banner($text, $options = NULL)
{
    return "<p>$text</p>\n";
}

function progress_bar($id, $options = [])
{
    $value = (int)($options['value'] ?? 0);

    return "<progress id='$id' max='100' value='$value'>$value%</progress>\n";
}

function field_progress_bar($label, $id, $options = [])
{
    return standin_field($id, $label, progress_bar($id, $options));
}

function box_open($title = NULL, $options = NULL)
{
    $id = isset($options['id']) ? " id='" . $options['id'] . "'" : '';
    $anchors = isset($options['anchors']) ? "<div class='box-tools'>" . $options['anchors'] . '</div>' : '';

    return "<div class='box " . ($options['class'] ?? '') . "'$id>" . ($title === NULL ? '' : "<div class='box-header'><h2>$title</h2>$anchors</div>") . "\n";
}

function box_content($content, $options = NULL) { return box_content_open($options) . $content . box_content_close(); }
function box_content_open($options = NULL) { return "<div class='box-body'>\n"; }
function box_content_close() { return "</div>\n"; }
function box_footer($id = NULL, $content = '', $options = NULL) { return "<div class='box-footer' id='$id'>$content</div>\n"; }
function box_close() { return "</div>\n"; }
function row_open($options = NULL) { return "<div class='row'>"; }
function row_close($options = NULL) { return '</div>'; }
function column_open($desktop, $tablet = NULL, $phone = NULL, $options = NULL) { return "<div class='column'>"; }
function column_close($options = NULL) { return '</div>'; }

function summary_table($title, $anchors, $headers, $items, $options = NULL)
{
    $has_actions = empty($options['no_action']);
    $id = $options['id'] ?? 'tbl_' . preg_replace('/[^a-z0-9\-_:\.]/', '', strtolower($title));
    $html = box_open($title, ['anchors' => is_array($anchors) ? ($anchors === [] ? '' : button_set($anchors)) : $anchors])
        . box_content_open() . "<table class='table' id='$id'><thead><tr>";
    foreach (array_merge($headers, $has_actions ? [lang('base_action')] : []) as $header)
        $html .= "<th scope='col'>$header</th>";
    $html .= "</tr></thead>\n<tbody>\n";
    foreach ((array)$items as $item) {
        $html .= '<tr>';
        foreach ($item['details'] as $i => $cell)
            $html .= "<td data-head='" . strip_tags($headers[$i] ?? '') . "'>$cell</td>";
        $html .= ($has_actions ? '<td>' . $item['anchors'] . '</td>' : '') . "</tr>\n";
    }
    $html .= "</tbody></table>\n";
    if (empty($items) && isset($options['empty_table_message']))
        $html .= '<p>' . $options['empty_table_message'] . "</p>\n";

    return $html . box_content_close() . box_close();
}

function list_table($title, $anchors, $headers, $items, $options = NULL)
{
    return summary_table($title, $anchors, $headers, $items, $options);
}

function loading($size = 'normal', $text = '', $options = NULL)
{
    return "<span role='status'>$text</span>";
}
