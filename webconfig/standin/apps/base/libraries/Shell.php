<?php

namespace clearos\apps\base;

clearos_load_language('base');
clearos_load_library('base/Engine');
clearos_load_library('base/Engine_Exception');
clearos_load_library('base/Validation_Exception');

/**
 * Runs commands. Arguments are a line of shell: whoever makes it quotes its words.
 */
class Shell extends Engine
{
    const COMMAND_SUDO = '/usr/bin/sudo';

    protected $output = [];

    /**
     * Runs a command.
     *
     * Options:
     * - escape: let nothing in the line have a meaning for the shell (default FALSE)
     * - log: name of a file in CLEAROS_TEMP_DIR that gets the output
     * - env: variables, as they stand before a command
     * - background: do not wait
     * - stdin: what the command reads; its output is not kept then
     * - validate_output: an empty output is an error (default FALSE)
     * - validate_exit_code: an exit code that is not 0 is an error (default TRUE)
     *
     * @return int exit code
     * @throws Engine_Exception, Validation_Exception
     */
    public function execute($command, $arguments, $superuser = FALSE, $options = NULL)
    {
        $this->output = [];
        $options = (array)$options + ['validate_output' => FALSE, 'validate_exit_code' => TRUE, 'background' => FALSE, 'escape' => FALSE];
        if (isset($options['log']) && preg_match('/\/|\.\./', $options['log']))
            throw new Validation_Exception(lang('base_parameter_invalid'));
        if (!$superuser && !file_exists($command))
            throw new Validation_Exception(lang('base_command_execution_failed'));

        if ($options['escape'])
            list($command, $arguments) = [escapeshellcmd($command), escapeshellcmd($arguments)];
        $line = $arguments === '' ? $command : "$command $arguments";
        if (isset($options['env']))
            $line = $options['env'] . " $line";
        if ($superuser)
            $line = self::COMMAND_SUDO . " $line";
        if (isset($options['log']))
            $line .= ' >>' . CLEAROS_TEMP_DIR . '/' . $options['log'];
        else if ($options['background'])
            $line .= ' >/dev/null';
        $line .= ' 2>&1';
        // The server that is built into PHP leaves its socket open in what it starts: started again meanwhile, it would find its address taken.
        if ($options['background'])
            $line .= ' 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &';

        $code = NULL;
        if (isset($options['stdin'])) {
            $pipe = popen($line, 'w');
            fwrite($pipe, $options['stdin']);
            $code = pclose($pipe);
        } else {
            exec($line, $this->output, $code);
        }
        if ($options['validate_exit_code'] && $code !== 0)
            throw new Engine_Exception($this->output[0] ?? lang('base_command_execution_failed'));
        if ($options['validate_output'] && !isset($this->output[0]))
            throw new Engine_Exception(lang('base_command_returned_no_output'));

        return $code;
    }

    public function get_output()
    {
        return $this->output;
    }

    public function get_first_output_line()
    {
        return $this->output[0] ?? FALSE;
    }

    public function get_last_output_line()
    {
        return $this->output === [] ? FALSE : $this->output[count($this->output) - 1];
    }
}
