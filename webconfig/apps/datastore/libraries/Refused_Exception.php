<?php

/**
 * Why something was not done, and what mends it.
 */

namespace clearos\apps\datastore;

$bootstrap = getenv('CLEAROS_BOOTSTRAP') ? getenv('CLEAROS_BOOTSTRAP') : '/usr/clearos/framework/shared';
require_once $bootstrap . '/bootstrap.php';

use \clearos\apps\base\Engine_Exception as Engine_Exception;

clearos_load_library('base/Engine_Exception');
clearos_load_library('datastore/Text');

/**
 * Why something was not done.
 */
class Refused_Exception extends Engine_Exception
{
    private $reason;
    private $hint;

    /**
     * @param string $reason  one word: usage, invalid, refused, system, privilege, locked, interrupted
     * @param string $message a sentence
     * @param string $hint    the command that mends it, or an empty string
     */
    public function __construct($reason, $message, $hint)
    {
        parent::__construct($message, CLEAROS_WARNING);
        $this->reason = $reason;
        $this->hint = $hint;
    }

    /** From what the command prints. */
    public static function of($error)
    {
        return new self((string)($error['kind'] ?? ''), (string)($error['message'] ?? ''), (string)($error['hint'] ?? ''));
    }

    public function get_reason()
    {
        return $this->reason;
    }

    public function get_hint()
    {
        return $this->hint;
    }

    /** What the framework shows, which takes it as HTML: the sentence and the hint. */
    public function get_message()
    {
        $html = '<span class="ds-message">' . Text::html($this->getMessage()) . '</span>';

        return $this->hint === '' ? $html : $html . ' <span class="ds-hint">' . lang('datastore_hint') . ': <code>' . Text::html($this->hint) . '</code></span>';
    }
}
