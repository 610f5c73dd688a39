<?php

/**
 * The trees that import and move have put aside.
 */
class Parked extends ClearOS_Controller
{
    /**
     * All of it.
     *
     * @return view
     */
    function index()
    {
        // Load libraries
        //---------------

        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        // Load view data
        //---------------

        try {
            $data['parked'] = $this->datastore->get_parked();
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }

        // Load views
        //-----------

        $this->page->view_form('parked', $data, lang('datastore_parked'), ['type' => MY_Page::TYPE_WIDE_CONFIGURATION]);
    }
}
