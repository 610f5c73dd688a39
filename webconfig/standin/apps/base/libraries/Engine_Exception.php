<?php

namespace clearos\apps\base;

/**
 * Something went wrong. The framework shows what `get_message` says, as it is.
 */
class Engine_Exception extends \Exception
{
    public function __construct($message, $code = CLEAROS_ERROR)
    {
        parent::__construct((string)$message, (int)$code);
    }

    public function get_message()
    {
        return $this->getMessage();
    }
}
