<?php

/**
 * A plan is made and shown; what was shown is applied, or nothing.
 */
class Plan extends ClearOS_Controller
{
    /** Options that a form may ask for by a value, and by a word alone. */
    const VALUES = ['to', 'max-downtime', 'keep', 'verify'];
    const WORDS = ['undo', 'resume', 'abort', 'expired'];

    function index()
    {
        redirect('/datastore');
    }

    /**
     * Makes a plan and shows it.
     *
     * @return view
     */
    function make()
    {
        // Load libraries
        //---------------

        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        // Only a form, with its token, asks for this.
        $verb = $this->input->post('verb');
        if (!$verb)
            redirect('/datastore');

        // Load view data
        //---------------

        try {
            $app = $this->input->post('app');
            $data['app'] = $app ? $app : NULL;
            $data['verb'] = $verb;
            $data['plan'] = $this->datastore->make_plan($verb, $data['app'], $this->_options());
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }

        // Load views
        //-----------

        $this->page->view_form('plan', $data, lang('datastore_plan'), ['type' => MY_Page::TYPE_WIDE_CONFIGURATION]);
    }

    /**
     * Begins what a plan says, and shows how it goes on.
     *
     * @return view
     */
    function apply()
    {
        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        $plan = $this->input->post('plan');
        if (!$plan)
            redirect('/datastore');

        try {
            $this->datastore->apply_plan($plan);
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }
        redirect('/datastore/operation/view/' . $plan);
    }

    /**
     * The options of a form.
     *
     * @return array
     */
    private function _options()
    {
        $options = [];
        foreach (self::VALUES as $option) {
            $value = $this->input->post($option);
            if (is_string($value) && $value !== '')
                $options[$option] = $value;
        }
        foreach (self::WORDS as $option) {
            if ($this->input->post($option))
                $options[$option] = TRUE;
        }

        return $options;
    }
}
