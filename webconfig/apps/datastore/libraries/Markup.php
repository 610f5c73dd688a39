<?php

/**
 * Pieces of HTML that several pages have. Everything that comes from outside is escaped here.
 *
 * They are functions and not views, because the framework's loader gives a view the variables of all views before it.
 */

namespace clearos\apps\datastore;

$bootstrap = getenv('CLEAROS_BOOTSTRAP') ? getenv('CLEAROS_BOOTSTRAP') : '/usr/clearos/framework/shared';
require_once $bootstrap . '/bootstrap.php';

clearos_load_language('datastore');
clearos_load_library('datastore/Text');

/**
 * Pieces of HTML.
 */
class Markup
{
    /** The pages of the app. */
    const PAGES = [
        '' => 'datastore_overview',
        'volumes' => 'datastore_volumes',
        'parked' => 'datastore_parked',
        'records' => 'datastore_log',
        'findings' => 'datastore_findings',
    ];

    /** How a state is shown. */
    const LEVELS = [
        'active' => 'good', 'disabled' => 'quiet', 'inactive' => 'quiet', 'waiting' => 'quiet', 'pending' => 'open', 'drifted' => 'open',
        'moving' => 'busy', 'interrupted' => 'bad', 'refused' => 'bad',
    ];

    /** A sign for each, so that colour is not all that tells. */
    const SIGNS = ['good' => '✓', 'quiet' => '–', 'open' => '○', 'busy' => '⇄', 'bad' => '✕'];

    /** So many parts of a volume are listed by name. */
    const MOST_PARTS = 8;

    /** Shades for stores in a picture. */
    const SHADES = 6;

    /**
     * Links to the pages of the app.
     *
     * @param string $here the page that is shown
     *
     * @return string HTML
     */
    public static function menu($here)
    {
        $html = "<nav class='ds-menu' aria-label='" . Text::html(lang('datastore_app_name')) . "'><ul>\n";
        foreach (self::PAGES as $page => $title) {
            $current = ((string)$page === $here) ? " aria-current='page'" : '';
            $html .= "<li><a href='/app/datastore" . ($page === '' ? '' : '/' . $page) . "'$current>" . Text::html(lang($title)) . "</a></li>\n";
        }

        return $html . "</ul></nav>\n";
    }

    /**
     * A form that is one button.
     *
     * @param string $action  where it goes
     * @param array  $fields  what it says
     * @param string $label   what is on it
     * @param string $subject what a screen reader adds
     * @param string $class   primary or secondary
     *
     * @return string HTML
     */
    public static function button($action, $fields, $label, $subject = '', $class = 'secondary')
    {
        // The framework puts the token against forged requests into every form that it opens.
        $html = form_open($action, ['class' => 'ds-button'], []);
        foreach ($fields as $name => $value)
            $html .= self::hidden($name, $value);

        return $html . "<button type='submit' class='btn btn-$class'>" . Text::html($label)
            . ($subject === '' ? '' : "<span class='ds-unseen'> " . Text::html($subject) . '</span>') . '</button>' . form_close() . "\n";
    }

    /**
     * A button that makes a plan.
     *
     * @param string      $verb    verb
     * @param string|null $app     app
     * @param array       $options further fields
     * @param string      $label   what is on it; the verb unless given
     * @param string      $class   primary or secondary
     * @param string|null $subject what a screen reader adds; the app unless given
     *
     * @return string HTML
     */
    public static function plan_button($verb, $app, $options = [], $label = '', $class = 'secondary', $subject = NULL)
    {
        $fields = ['verb' => $verb] + ($app === NULL ? [] : ['app' => $app]) + $options;

        return self::button('datastore/plan/make', $fields, $label === '' ? Text::word('verb', $verb) : $label, (string)($subject ?? $app), $class);
    }

    /**
     * What a form says without showing it.
     *
     * @param string $name  name
     * @param string $value value
     *
     * @return string HTML
     */
    public static function hidden($name, $value)
    {
        return "<input type='hidden' name='" . Text::html($name) . "' value='" . Text::html($value) . "'>";
    }

    /**
     * The state of a mapping or a volume.
     *
     * @param array $row row of `status`
     *
     * @return string HTML
     */
    public static function state($row)
    {
        $html = self::badge(self::LEVELS[$row['state']] ?? 'bad', Text::word('state', $row['state']));

        return empty($row['reason']) ? $html : $html . " <span class='ds-reason'>" . Text::html(Text::word('reason', $row['reason'])) . '</span>';
    }

    /**
     * A word with a sign.
     *
     * @param string $level one of SIGNS
     * @param string $word  word
     *
     * @return string HTML
     */
    public static function badge($level, $word)
    {
        return "<span class='ds-state ds-$level'><span aria-hidden='true'>" . self::SIGNS[$level] . '</span> ' . Text::html($word) . '</span>';
    }

    /**
     * What is wrong with a volume beside its state.
     *
     * @param array $volume volume
     *
     * @return string HTML
     */
    public static function health($volume)
    {
        return ($volume['nearly_full'] ? ' ' . self::badge('bad', lang('datastore_nearly_full')) : '')
            . ($volume['read_only'] ? ' ' . self::badge('bad', lang('datastore_read_only')) : '');
    }

    /**
     * A sentence.
     *
     * @param string $text what it says; empty for none
     *
     * @return string HTML
     */
    public static function detail($text)
    {
        return (string)$text === '' ? '' : "<p class='ds-detail'>" . Text::html($text) . "</p>\n";
    }

    /**
     * What mends something, as words to type.
     *
     * @param string $hint command; empty for none
     *
     * @return string HTML
     */
    public static function hint($hint)
    {
        return (string)$hint === '' ? '' : "<p class='ds-hint'>" . lang('datastore_hint') . ': <code>' . Text::html($hint) . "</code></p>\n";
    }

    /**
     * What mends something: a button where a button can, else the words to type.
     *
     * @param string $hint    command; empty for none
     * @param string $subject what a screen reader adds
     *
     * @return string HTML
     */
    public static function mend($hint, $subject)
    {
        $mending = Text::mending($hint);
        if ($mending === NULL)
            return self::hint($hint);
        if ($mending['verb'] === 'recover')
            return self::button('datastore/operation/recover', ['recover' => '1'], Text::word('verb', 'recover'), $subject, 'primary');

        return self::plan_button($mending['verb'], $mending['app'], [], '', 'primary', $subject);
    }

    /**
     * Remarks of a plan or a report.
     *
     * @param array $remarks remarks
     *
     * @return string HTML
     */
    public static function remarks($remarks)
    {
        $html = '';
        foreach ($remarks as $remark) {
            $html .= "<p class='ds-remark'>" . Text::html($remark['detail'])
                . (empty($remark['hint']) ? '' : ' <code>' . Text::html($remark['hint']) . '</code>') . "</p>\n";
        }

        return $html;
    }

    /**
     * Mappings with their state, where their bytes are, how many, and what mends them.
     *
     * @param array  $rows    rows of `status`, with `bytes`
     * @param string $caption what they are
     *
     * @return string HTML
     */
    public static function mappings($rows, $caption)
    {
        $heads = [lang('datastore_app'), lang('datastore_mount_point'), lang('datastore_state'), lang('datastore_store'), lang('datastore_size')];
        $cells = [];
        foreach ($rows as $row) {
            $on = $row['volume'] === '' ? '' : " <span class='ds-on'>" . Text::html(sprintf(lang('datastore_on_volume'), $row['volume'])) . '</span>';
            $cells[] = [
                'attributes' => ['data-mount-point' => $row['mount_point'], 'data-state' => $row['state']],
                'cells' => [
                    "<a href='/app/datastore/app/view/" . rawurlencode($row['app']) . "'>" . Text::html($row['app']) . '</a>',
                    '<b>' . Text::html($row['mount_point']) . '</b>',
                    self::state($row) . self::detail($row['detail']) . self::mend($row['hint'], $row['mount_point']),
                    "<span class='ds-path'>" . Text::html($row['store']) . "</span>$on",
                    Text::html(Text::bytes($row['bytes'] ?? NULL)),
                ],
            ];
        }

        return self::table($heads, $cells, $caption);
    }

    /**
     * Trees that were put aside.
     *
     * @param array $trees trees
     *
     * @return string HTML
     */
    public static function trees($trees)
    {
        $heads = [lang('datastore_app'), lang('datastore_mount_point'), lang('datastore_tree'), lang('datastore_since'), lang('datastore_until'),
            lang('datastore_size')];
        $rows = [];
        foreach ($trees as $tree) {
            $rows[] = ['attributes' => ['data-tree' => $tree['tree']], 'cells' => [
                Text::html($tree['app']),
                Text::html($tree['mount_point']),
                "<span class='ds-path'>" . Text::html($tree['tree']) . '</span>',
                Text::html(Text::time($tree['since'] ?? NULL)),
                Text::html(Text::time($tree['expires'] ?? NULL)),
                Text::html(Text::bytes($tree['bytes'] ?? NULL)),
            ]];
        }

        return self::table($heads, $rows, lang('datastore_parked'));
    }

    /**
     * A table that a phone shows as a list: each cell knows its head.
     *
     * @param array  $heads   what is above the columns, as text
     * @param array  $rows    `attributes` as text, `cells` as HTML
     * @param string $caption what it is, for a screen reader
     *
     * @return string HTML
     */
    public static function table($heads, $rows, $caption)
    {
        $heads = array_map(['\clearos\apps\datastore\Text', 'html'], $heads);
        $html = "<table class='table ds-table'><caption class='ds-unseen'>" . Text::html($caption) . "</caption>\n<thead><tr>";
        foreach ($heads as $head)
            $html .= "<th scope='col'>$head</th>";
        $html .= "</tr></thead>\n<tbody>\n";
        foreach ($rows as $row) {
            $html .= '<tr';
            foreach ($row['attributes'] as $name => $value)
                $html .= " $name='" . Text::html($value) . "'";
            $html .= ">\n";
            foreach ($row['cells'] as $i => $cell)
                $html .= "<td data-head='" . $heads[$i] . "'>$cell</td>\n";
            $html .= "</tr>\n";
        }

        return $html . "</tbody></table>\n";
    }

    /**
     * A volume as a picture: what fills it, to scale, and the same in words below.
     *
     * @param array $volume volume with `parts`
     *
     * @return string HTML
     */
    public static function picture($volume)
    {
        if (empty($volume['bytes']))
            return '';

        $summary = sprintf(lang('datastore_volume_summary'), Text::bytes($volume['bytes'] - $volume['bytes_free']), Text::bytes($volume['bytes']),
            (int)$volume['used']);
        $bar = '';
        $list = '';
        $x = 0;
        $stores = 0;
        $listed = 0;
        foreach ($volume['parts'] as $part) {
            $class = 'ds-' . $part['kind'] . ($part['kind'] === 'store' ? '-' . ($stores++ % self::SHADES) : '');
            $name = Text::html(self::part_name($part));
            $bytes = Text::html(Text::bytes($part['bytes']));
            $width = 1000 * $part['share'];
            // Nobody sees less than this, and ten thousand of them would be a page of their own.
            if ($width >= 0.5)
                $bar .= sprintf("<rect class='%s' x='%.1F' y='0' width='%.1F' height='28'><title>%s: %s</title></rect>\n", $class, $x, $width, $name, $bytes);
            $x += $width;
            $has_name = in_array($part['kind'], ['store', 'parked'], TRUE);
            if (!$has_name || ++$listed <= self::MOST_PARTS) {
                $list .= "<li><svg class='ds-key' viewBox='0 0 10 10' aria-hidden='true'><rect class='$class' width='10' height='10'/></svg> "
                    . "$name <b>$bytes</b></li>\n";
            }
        }
        if ($listed > self::MOST_PARTS)
            $list .= '<li>' . Text::html(sprintf(lang('datastore_part_more'), $listed - self::MOST_PARTS)) . "</li>\n";

        return "<p class='ds-summary'>" . Text::html($summary) . "</p>\n<svg class='ds-bar' viewBox='0 0 1000 28' preserveAspectRatio='none' role='img' aria-label='"
            . Text::html($volume['volume'] . ': ' . $summary) . "'>\n$bar</svg>\n<ul class='ds-legend'>\n$list</ul>\n";
    }

    /** What a part of a volume is called. */
    private static function part_name($part)
    {
        if ($part['kind'] === 'store')
            return $part['name'];
        $name = lang('datastore_part_' . $part['kind']);

        return $part['kind'] === 'parked' ? sprintf($name, $part['name']) : $name;
    }

    /**
     * A list of facts.
     *
     * @param array $facts facts by their key in the language file; an empty one is left out
     *
     * @return string HTML
     */
    public static function facts($facts)
    {
        $html = "<dl class='ds-facts'>\n";
        foreach ($facts as $key => $fact) {
            if ((string)$fact !== '')
                $html .= '<dt>' . Text::html(lang($key)) . '</dt><dd>' . Text::html($fact) . "</dd>\n";
        }

        return $html . "</dl>\n";
    }
}
