// Goes through the pages as an administrator does, in Debian's Chromium: `node pages.mjs ENTRY desktop|phone SCREENSHOTS`.
//
// After each part it prints `reached NAME` and waits for a line, so that whoever started it can look at the machine meanwhile.
// It fails at the first thing that is not as it should be: a word that is not there, an error in the console, a request to another host.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const { chromium } = createRequire(`${process.env.BROWSER_MODULES}/`)('playwright-core');
const [entry, kind, shots] = process.argv.slice(2);
const base = new URL(entry).origin;
const size = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } }[kind];
assert(size, 'desktop or phone');

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function reached(name) {
    console.log(`reached ${name}`);
    const { done } = await answers.next();
    assert(!done, 'whoever started this has gone');
}

const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync'],
});

/** A browser's window in which nothing may go wrong. */
async function open(options = {}) {
    const context = await browser.newContext({ viewport: size, locale: 'en-US', isMobile: kind === 'phone', hasTouch: kind === 'phone', ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(30000);
    const wrong = [];
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) && wrong.push(`console: ${message.text()}`));
    page.on('pageerror', (error) => wrong.push(`script: ${error}`));
    page.on('request', (request) => {
        if (!request.url().startsWith(`${base}/`) && !request.url().startsWith('data:'))
            wrong.push(`request to another host: ${request.url()}`);
    });
    page.on('response', (response) => response.status() >= 400 && wrong.push(`${response.status()} ${response.url()}`));
    page.nothingWrong = () => assert.deepEqual(wrong, []);
    await page.goto(entry);
    return page;
}

/** What every page owes to a phone, a keyboard and a screen reader. */
async function fit(page) {
    const found = await page.evaluate(() => {
        const wrong = [];
        if (document.documentElement.scrollWidth > window.innerWidth)
            wrong.push(`wider than the window: ${document.documentElement.scrollWidth}`);
        if (!document.documentElement.lang)
            wrong.push('no language');
        if (document.querySelectorAll('h1').length !== 1)
            wrong.push('not one h1');
        for (const field of document.querySelectorAll('input:not([type=hidden]):not([type=submit]), select, textarea')) {
            if (field.labels.length === 0)
                wrong.push(`no label: ${field.name}`);
        }
        for (const image of document.querySelectorAll('svg[role=img]')) {
            if (!image.getAttribute('aria-label'))
                wrong.push('a picture without words');
        }
        const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
        wrong.push(...ids.filter((id, i) => ids.indexOf(id) !== i).map((id) => `twice the id ${id}`));
        for (const control of document.querySelectorAll('a, button, input[type=submit]')) {
            if (!(control.textContent || control.value || control.getAttribute('aria-label') || '').trim())
                wrong.push(`nothing to read on ${control.outerHTML}`);
        }
        return wrong;
    });
    assert.deepEqual(found, [], page.url());
}

let taken = 0;

async function shot(page, name) {
    await fit(page);
    await page.screenshot({ path: `${shots}/${kind}-${String(++taken).padStart(2, '0')}-${name}.png`, fullPage: true });
}

const row = (page, mountPoint) => page.locator(`tr[data-mount-point="${mountPoint}"]`);
const button = (page, name) => page.getByRole('button', { name });

/** Reads the plan that is shown and has it done. */
async function agree(page, ...words) {
    for (const word of words)
        await page.locator('#ds-plan').getByText(word).first().waitFor();
    await fit(page);
    await button(page, 'Do it').click();
    await page.locator('#ds-receipt').waitFor();
    await page.getByText('Done').first().waitFor();
}

/** Goes to a control by the keyboard alone. */
async function tabTo(page, locator) {
    for (let i = 0; i < 200; i++) {
        await page.keyboard.press('Tab');
        if (await locator.evaluate((element) => element === document.activeElement)) {
            const outline = await locator.evaluate((element) => getComputedStyle(element).outlineStyle);
            assert.notEqual(outline, 'none', 'whoever uses a keyboard sees where it is');
            return;
        }
    }
    assert.fail(`the keyboard does not come to ${locator}`);
}

try {
    const page = await open();

    // The overview, and the same without a script.
    await row(page, '/srv/photos').waitFor();
    await page.getByRole('img', { name: /^data0: .* in use/ }).waitFor();
    await button(page, 'Measure now').click();
    await page.getByText('Sizes as measured on').waitFor();
    assert.match(await row(page, '/srv/photos').innerText(), /active[\s\S]*MiB/);
    await shot(page, 'overview');
    const plain = await open({ javaScriptEnabled: false });
    assert.match(await row(plain, '/srv/photos').innerText(), /active/);
    plain.nothingWrong();
    await plain.context().close();

    // One that is refused says why, and a button mends it.
    const refused = row(page, '/srv/shop');
    assert.match(await refused.innerText(), /refused/);
    assert.match(await refused.innerText(), /the mount point is not empty/);
    await refused.getByRole('button', { name: /Import its data/ }).click();
    await agree(page, 'import shop', /to be (renamed|copied)/);
    await shot(page, 'imported');
    await reached('imported');

    // Stop, by the keyboard alone.
    await page.goto(`${base}/app/datastore/app/view/photos`);
    await shot(page, 'app');
    await tabTo(page, button(page, /^Stop/));
    await page.keyboard.press('Enter');
    await page.locator('#ds-plan').waitFor();
    await tabTo(page, button(page, 'Do it'));
    await page.keyboard.press('Enter');
    await page.locator('#ds-receipt').waitFor();
    await reached('stopped');
    await page.goto(`${base}/app/datastore/app/view/photos`);
    assert.match(await row(page, '/srv/photos').innerText(), /stopped/);
    await button(page, /^Start/).first().click();
    await agree(page, 'start photos');
    await reached('started');

    // A mapping is added; one that root does not allow is not.
    await page.goto(`${base}/app/datastore`);
    await page.getByRole('link', { name: 'Add a mapping' }).click();
    await page.getByLabel('App').fill('music');
    await page.getByLabel('Mount point').fill('/usr/local/music');
    await button(page, 'Add a mapping').click();
    await page.getByRole('alert').first().waitFor();
    assert.match(await page.getByRole('alert').first().innerText(), /What mends it/);
    assert.equal(await page.getByLabel('Mount point').inputValue(), '/usr/local/music', 'what was typed stays');
    await shot(page, 'mapping-refused');
    await page.getByLabel('Mount point').fill('/srv/music');
    await button(page, 'Add a mapping').click();
    await row(page, '/srv/music').waitFor();
    await button(page, /^Start/).first().click();
    await agree(page, 'start music');
    await reached('added');

    // Its data moves, and the bar follows.
    await page.goto(`${base}/app/datastore/app/view/photos`);
    await page.getByLabel('Volume', { exact: true }).selectOption('data1');
    await button(page, 'Show the plan').click();
    await page.locator('#ds-plan').getByText('move photos --to data1').waitFor();
    await page.locator('#ds-plan').getByText(/MiB in \d+ entries of/).waitFor();
    await shot(page, 'plan');
    await page.evaluate(() => { window.name = 'the same window'; });
    await button(page, 'Do it').click();
    const seen = [];
    while (await page.locator('#ds-receipt').count() === 0) {
        const at = await page.evaluate(() => document.getElementById('ds-progress')?.value).catch(() => undefined);
        if (at !== undefined && at !== seen.at(-1)) {
            seen.push(at);
            if (at > 0 && at < 100 && !seen.shot) {
                seen.shot = true;
                await shot(page, 'moving');
            }
        }
        await page.waitForTimeout(50);
    }
    const between = seen.filter((at) => at > 0 && at < 100);
    assert(between.length >= 2, `the bar was seen at ${seen}`);
    await page.getByText('Done').first().waitFor();
    await shot(page, 'moved');
    console.log(`the bar was seen at ${seen.join(', ')} %`);
    await reached('moved');
    await button(page, /^Undo/).click();
    await agree(page, 'move photos --undo');
    await reached('undone');

    // A new volume: only who types the name of the disk formats it.
    await page.goto(`${base}/app/datastore/volumes`);
    await shot(page, 'volumes');
    await page.getByRole('link', { name: 'Add a volume' }).click();
    await page.getByLabel('Disk', { exact: true }).selectOption('/dev/sdd');
    await page.getByLabel('File system').selectOption('ext4');
    await page.getByLabel('To format it').fill('/dev/sdc');
    await button(page, 'Add a volume').click();
    await page.getByRole('alert').first().getByText('Nothing was done').waitFor();
    await reached('not-formatted');
    await page.getByLabel('Disk', { exact: true }).selectOption('/dev/sdd');
    await page.getByLabel('File system').selectOption('ext4');
    await page.getByLabel('To format it').fill('/dev/sdd');
    await shot(page, 'volume-add');
    await button(page, 'Add a volume').click();
    await page.locator('#ds-receipt').waitFor();
    await reached('formatted');

    // What was put aside, and its room.
    await page.goto(`${base}/app/datastore/parked`);
    await page.getByText(/parked/).first().waitFor();
    await shot(page, 'parked');
    await button(page, 'Remove everything that was put aside').click();
    await agree(page, /to be removed/);
    await reached('reclaimed');

    await page.goto(`${base}/app/datastore/records`);
    await page.getByText('move photos --to data1').first().waitFor();
    await shot(page, 'log');
    await page.goto(`${base}/app/datastore/findings`);
    await page.getByText('Everything agrees.').waitFor();
    await shot(page, 'findings');

    // In another language.
    const german = await open({ locale: 'de-DE' });
    await german.getByRole('link', { name: 'Übersicht' }).waitFor();
    await fit(german);
    german.nothingWrong();

    page.nothingWrong();
    console.log('done');
} finally {
    await browser.close();
}
process.exit(0);
