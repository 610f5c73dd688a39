<?php

/**
 * Overview: the volumes with what fills them, and every mapping with its state.
 */
class Datastore extends ClearOS_Controller
{
    /**
     * Overview.
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
            $data['volumes'] = $this->datastore->get_volumes();
            $data['mappings'] = $this->datastore->get_mappings();
            $data['operations'] = $this->datastore->get_status()['operations'];
            $data['host'] = $this->datastore->get_status()['host'];
            $data['measured'] = $this->datastore->get_usage()['measured'];
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }

        // Load views
        //-----------

        $this->page->view_form('overview', $data, lang('datastore_app_name'), ['type' => MY_Page::TYPE_WIDE_CONFIGURATION]);
    }

    /**
     * Measures what fills the volumes.
     *
     * @return view
     */
    function measure()
    {
        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        // Only a form, with its token, asks for this.
        if (!$this->input->post('measure'))
            redirect('/datastore');

        try {
            $name = $this->datastore->measure();
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }
        redirect('/datastore/operation/view/' . $name);
    }
}
