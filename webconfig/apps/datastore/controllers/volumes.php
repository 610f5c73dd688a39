<?php

/**
 * Volumes: space, health, a new one.
 */
class Volumes extends ClearOS_Controller
{
    /**
     * All of them.
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
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }

        // Load views
        //-----------

        $this->page->view_form('volumes', $data, lang('datastore_volumes'), ['type' => MY_Page::TYPE_WIDE_CONFIGURATION]);
    }

    /**
     * Makes a disk a volume.
     *
     * @return view
     */
    function add()
    {
        // Load libraries
        //---------------

        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        // Handle form submit
        //-------------------

        $data['error'] = '';
        if ($this->input->post('submit')) {
            try {
                $device = $this->_text('device');
                $format = $this->_text('format');
                // What is on the disk is lost: its name is typed by hand.
                if ($format !== '' && $this->input->post('confirm') !== $device)
                    throw new Exception(lang('datastore_confirm_wrong'));
                $name = $this->datastore->add_volume($this->_text('volume'), $device, $format);
                redirect('/datastore/operation/view/' . $name);
                return;
            } catch (Exception $e) {
                $data['error'] = clearos_exception_message($e);
            }
        }

        // Load view data
        //---------------

        try {
            $data['candidates'] = $this->datastore->get_candidates();
            $data['volumes'] = array_column($this->datastore->get_volumes(), 'volume');
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }

        // Load views
        //-----------

        $this->page->view_form('volume', $data, lang('datastore_volume_add'));
    }

    /**
     * Forgets one; what is on it stays.
     *
     * @return view
     */
    function remove()
    {
        $this->lang->load('datastore');
        $this->load->library('datastore/Datastore');

        $volume = $this->input->post('volume');
        if (!$volume)
            redirect('/datastore/volumes');

        try {
            $name = $this->datastore->remove_volume($volume);
        } catch (Exception $e) {
            $this->page->view_exception($e);
            return;
        }
        redirect('/datastore/operation/view/' . $name);
    }

    /**
     * What was typed into a field.
     *
     * @param string $field field
     *
     * @return string
     */
    private function _text($field)
    {
        $value = $this->input->post($field);

        return is_string($value) ? $value : '';
    }
}
