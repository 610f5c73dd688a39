<?php

/**
 * Everything held against everything.
 */
class Findings extends ClearOS_Controller
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
            $data['findings'] = $this->datastore->get_findings();
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }

        // Load views
        //-----------

        $this->page->view_form('findings', $data, lang('datastore_findings'), ['type' => MY_Page::TYPE_WIDE_CONFIGURATION]);
    }
}
