<?php header('Content-Type: application/javascript'); ?>
'use strict';

// Without this script every page is whole; with it the bar moves by itself.

(function () {
    function follow(box) {
        var bar = document.getElementById('ds-progress');
        var percent = document.getElementById('ds-percent');
        var what = document.getElementById('ds-what');
        var amount = document.getElementById('ds-amount');
        var left = document.getElementById('ds-left');
        var spoken = document.getElementById('ds-spoken');
        var told = 0;
        var failed = 0;

        function show(at) {
            bar.value = at.percent;
            percent.textContent = at.percent + '%';
            what.textContent = at.what;
            amount.textContent = at.amount;
            left.textContent = at.left;
            if (Date.now() - told > 10000) {
                told = Date.now();
                spoken.textContent = at.percent + '% ' + at.what + ' ' + at.left;
            }
        }

        function ask() {
            fetch(box.dataset.url, {credentials: 'same-origin', cache: 'no-store'}).then(function (answer) {
                if (!answer.ok)
                    throw new Error(String(answer.status));
                return answer.json();
            }).then(function (at) {
                failed = 0;
                if (at.state !== 'running') {
                    // What came of it is on the same page.
                    window.location.reload();
                    return;
                }
                show(at);
                window.setTimeout(ask, 400);
            }).catch(function () {
                // The server may be busy, or be started again just now.
                failed += 1;
                window.setTimeout(ask, Math.min(400 * failed, 5000));
            });
        }

        ask();
    }

    function confirmation(form) {
        var format = form.querySelector('[name=format]');
        var confirm = form.querySelector('[name=confirm]');
        if (!format || !confirm)
            return;

        function update() {
            confirm.required = format.value !== '';
            confirm.disabled = format.value === '';
        }

        format.addEventListener('change', update);
        update();
    }

    document.addEventListener('DOMContentLoaded', function () {
        var box = document.getElementById('ds-follow');
        if (box)
            follow(box);
        var form = document.getElementById('ds-volume-add');
        if (form)
            confirmation(form);
    });
}());
