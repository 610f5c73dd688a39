<?php

namespace clearos\apps\base;

clearos_load_library('base/Engine_Exception');

/**
 * What was given cannot be.
 */
class Validation_Exception extends Engine_Exception
{
    public function __construct($message)
    {
        parent::__construct($message, CLEAROS_ERROR);
    }

    /** Throws where there is something to say. */
    public static function is_valid($message)
    {
        if (is_string($message) && $message !== '')
            throw new Validation_Exception($message);
    }
}
