//! The status page as its reader wants it: what is copied, colours, times, a pause, and links to other places.

use ilb_testbed::{Browser, Look, World};
use serde_json::json;

use crate::configured::{Configured, folder, listed, pool};

const LOOKS: [(Look, &str); 3] = [(Look::Light, "light"), (Look::Dark, "dark"), (Look::Phone, "phone")];

/// Opens the page of `world`, whose only pool is open from the start.
async fn open(world: &World, look: Look) -> Browser {
    let browser = Browser::start(look).await.unwrap();
    browser.open(&world.admin.url("/")).await.unwrap();
    browser.wait_to_see(&["ready: all pools active", &World::pod(0)]).await.unwrap();
    browser
}

/// Checks that the page is accessible, and no wider than its screen.
async fn check(browser: &Browser, name: &str) {
    browser.screenshot(name).await.unwrap();
    assert_eq!(browser.complaints_of_axe().await.unwrap(), [""; 0], "{name}");
    let fits = "return document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(browser.run(fits).await.unwrap(), json!(true), "{name}");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn names_addresses_and_links_are_copied_with_the_keyboard_also_over_plain_http() {
    let world = World::start(2).await.unwrap();
    let link = world.admin.url("/#pool-default");
    for (look, name) in LOOKS {
        let browser = open(&world, look).await;
        let row = "[...document.querySelectorAll('td.who')].find(td => td.querySelector('b').textContent === 'pod-0')";
        browser.run(&format!("{row}.id = 'first'")).await.unwrap();
        let address = world.address(0).to_string();
        let parts = [("#first .of-name", "pod-0"), ("#first .of-address", &address), (".link", &link)];
        // Over plain HTTP there is no such object; the event has what is copied then.
        let watch = "Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true});
            window.copied = [];
            document.addEventListener('copy', () => copied.push(document.activeElement.value));";
        browser.run(watch).await.unwrap();
        for (button, text) in parts {
            browser.press(button, Browser::ENTER).await.unwrap();
            let said = format!(
                "return copied.at(-1) === '{text}' && document.querySelector('#said').textContent === '{text} copied'
                    && document.activeElement === document.querySelector('{button}')"
            );
            browser.wait_for(&said).await.unwrap();
        }
        check(&browser, &format!("copied-{name}")).await;
        // Elsewhere there is one.
        let modern = "window.written = [];
            const clipboard = {writeText: async text => { written.push(text); }};
            Object.defineProperty(navigator, 'clipboard', {value: clipboard, configurable: true});";
        browser.run(modern).await.unwrap();
        for (button, text) in parts {
            browser.press(button, Browser::ENTER).await.unwrap();
            browser.wait_for(&format!("return written.at(-1) === '{text}'")).await.unwrap();
        }
        // Where both are refused, the text is selected, and not said to be copied.
        let refuse = "const clipboard = {writeText: async () => { throw new Error('refused'); }};
            Object.defineProperty(navigator, 'clipboard', {value: clipboard, configurable: true});
            document.execCommand = () => false;";
        browser.run(refuse).await.unwrap();
        for (button, text) in parts {
            browser.press(button, Browser::ENTER).await.unwrap();
            let selected = format!(
                "return String(getSelection()) === '{text}'
                    && document.querySelector('#said').textContent.startsWith('{text} selected')"
            );
            browser.wait_for(&selected).await.unwrap();
        }
        check(&browser, &format!("selected-{name}")).await;
        browser.close().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_choice_of_colours_is_remembered_and_changes_neither_paper_nor_forced_colours() {
    let world = World::start(1).await.unwrap();
    let is_dark = "return parseInt(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0]) < 128";
    for (look, other) in [(Look::Light, "dark"), (Look::Dark, "light")] {
        let (of_system, chosen) = (json!(look == Look::Dark), json!(look != Look::Dark));
        let browser = open(&world, look).await;
        assert_eq!(browser.run(is_dark).await.unwrap(), of_system);
        browser.press("#theme", other).await.unwrap();
        assert_eq!(browser.run(is_dark).await.unwrap(), chosen);
        check(&browser, &format!("chosen-{other}")).await;
        browser.open(&world.admin.url("/")).await.unwrap();
        browser.wait_to_see(&["ready: all pools active"]).await.unwrap();
        assert_eq!(browser.run(is_dark).await.unwrap(), chosen, "after the page was opened again");
        let forced = json!({"features": [{"name": "forced-colors", "value": "active"}]});
        browser.emulate("Emulation.setEmulatedMedia", forced).await.unwrap();
        browser.wait_for("return document.documentElement.dataset.theme === 'system'").await.unwrap();
        browser.emulate("Emulation.setEmulatedMedia", json!({"features": []})).await.unwrap();
        browser.wait_for(&format!("return document.documentElement.dataset.theme === '{other}'")).await.unwrap();
        if look == Look::Light {
            browser.emulate("Emulation.setEmulatedMedia", json!({"media": "print"})).await.unwrap();
            assert_eq!(browser.run(is_dark).await.unwrap(), json!(false), "on paper");
            browser.emulate("Emulation.setEmulatedMedia", json!({"media": ""})).await.unwrap();
        }
        // A browser that remembers nothing takes the choice as well.
        let source = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('forbidden'); }})";
        browser.emulate("Page.addScriptToEvaluateOnNewDocument", json!({"source": source})).await.unwrap();
        browser.open(&world.admin.url("/")).await.unwrap();
        browser.wait_to_see(&["ready: all pools active"]).await.unwrap();
        assert_eq!(browser.run(is_dark).await.unwrap(), of_system);
        browser.press("#theme", other).await.unwrap();
        assert_eq!(browser.run(is_dark).await.unwrap(), chosen);
        browser.close().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn all_times_are_those_of_the_browser_or_utc_as_the_reader_chooses() {
    let world = World::start(1).await.unwrap();
    let browser = Browser::start(Look::Light).await.unwrap();
    let zone = json!({"timezoneId": "Asia/Kathmandu"});
    browser.emulate("Emulation.setTimezoneOverride", zone).await.unwrap();
    browser.open(&world.admin.url("/")).await.unwrap();
    browser.wait_to_see(&["ready: all pools active", "came, ready", "Times in"]).await.unwrap();
    browser.wait_for("return document.querySelector('.chart .curve').getAttribute('d').length > 10").await.unwrap();
    // The zone is 5 hours and 45 minutes ahead.
    let shown = |minutes: u32, zone: &str| {
        format!(
            "const plot = document.querySelector('.chart'), box = plot.getBoundingClientRect();
            plot.dispatchEvent(new PointerEvent('pointermove', {{clientX: box.right - 1, clientY: box.top + 1}}));
            const there = iso => new Date(Date.parse(iso) + {minutes} * 60000).toISOString().slice(11, 19);
            const times = [...document.querySelectorAll('#log time')];
            const hover = document.querySelector('.value').textContent;
            const moment = hover.match(/(\\d\\d):(\\d\\d):\\d\\d (\\S+), /);
            const now = new Date(Date.now() + {minutes} * 60000);
            const late = (now.getUTCHours() * 60 + now.getUTCMinutes() - moment[1] * 60 - moment[2] + 1440) % 1440;
            return times.length > 1 && times.every(time => time.textContent.endsWith(there(time.dateTime)))
                && moment[3] === '{zone}' && late <= 2
                && document.querySelector('.state + span').title.endsWith(' {zone}')"
        )
    };
    let choice = "return document.querySelector('#clock').selectedOptions[0].textContent";
    browser.wait_for(&shown(345, "GMT+5:45")).await.unwrap();
    let local = browser.run(choice).await.unwrap();
    assert!(["Asia/Kathmandu (local)", "Asia/Katmandu (local)"].contains(&local.as_str().unwrap()), "{local}");
    browser.press("#clock", "UTC").await.unwrap();
    browser.wait_for(&shown(0, "UTC")).await.unwrap();
    assert_eq!(browser.run(choice).await.unwrap(), "UTC");
    check(&browser, "utc").await;
    browser.open(&world.admin.url("/")).await.unwrap();
    browser.wait_to_see(&["ready: all pools active", "came, ready"]).await.unwrap();
    browser.wait_for("return document.querySelector('.chart .curve').getAttribute('d').length > 10").await.unwrap();
    browser.wait_for(&shown(0, "UTC")).await.unwrap();
    browser.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_paused_page_stands_still_says_so_and_goes_on() {
    for (look, name) in LOOKS {
        let mut world = World::start(2).await.unwrap();
        let browser = open(&world, look).await;
        browser.wait_to_see(&["came, ready"]).await.unwrap();
        browser.press("#pause", Browser::ENTER).await.unwrap();
        browser.wait_to_see(&["(ready: all pools active)", "nothing here is updated"]).await.unwrap();
        let head = "return [document.title, document.querySelector('#summary').textContent].map(text => text.replace(/[0-9]/g, '0'))";
        let said = browser.run(head).await.unwrap();
        assert!(said[0].as_str().unwrap().starts_with("‖ paused since 00:00:00"), "{said}");
        assert!(said[1].as_str().unwrap().starts_with("paused since 00:00:00 "), "{said}");
        check(&browser, &format!("paused-{name}")).await;
        let still = browser.text().await.unwrap();

        world.add_pod(2).await.unwrap();
        world.wait_until_in_force(3).await.unwrap();
        // What the page draws from what it has, such as after a search, is as old as the rest.
        browser.run("document.querySelector('#search').dispatchEvent(new Event('input'))").await.unwrap();
        assert_eq!(browser.text().await.unwrap(), still);
        assert_eq!(browser.run("return source.readyState === EventSource.CLOSED").await.unwrap(), json!(true));

        browser.press("#paused button", Browser::ENTER).await.unwrap();
        browser.wait_to_see(&["Backends 3 ready", &format!("{} came, ready", World::pod(2))]).await.unwrap();
        let live = "return document.title.startsWith('●') && document.querySelector('#paused').hidden
            && document.querySelector('#summary').textContent === 'ready: all pools active'
            && document.activeElement.id === 'pause'";
        browser.wait_for(live).await.unwrap();

        // An ilb that goes away meanwhile is no news of a page that stands still, and is told when it goes on.
        browser.press("#pause", Browser::ENTER).await.unwrap();
        browser.wait_to_see(&["nothing here is updated"]).await.unwrap();
        let still = browser.text().await.unwrap();
        world.ilb.terminate().await.unwrap();
        assert_eq!(browser.text().await.unwrap(), still);
        browser.press("#pause", Browser::ENTER).await.unwrap();
        browser.wait_to_see(&["unknown: ilb does not answer", "No connection to ilb"]).await.unwrap();
        // The status that stands still then is older than the pause.
        browser.press("#pause", Browser::ENTER).await.unwrap();
        browser.wait_to_see(&["(ilb did not answer; the status is that of "]).await.unwrap();
        browser.close().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn each_backend_has_links_with_its_names_filled_in() {
    let links = "Logs=https://grafana.example/explore?pod={pod}&ns={namespace}#{pool}, At=http://a.example/{address}, \
                 Node=https://a.example/{node}";
    let settings = [("ILB_BACKEND_LINKS", links)];
    let world = World::with(2, &settings).await.unwrap();
    let namespace = world.pods.namespace().to_owned();
    let address = world.address(0).to_string().replace(':', "%3A");
    for (look, name) in LOOKS {
        let browser = open(&world, look).await;
        browser.wait_to_see(&["Logs", "At"]).await.unwrap();
        let found = "const row = [...document.querySelectorAll('td.who')].find(td => td.querySelector('b').textContent === 'pod-0');
            return [...row.querySelectorAll('.links a')].map(a => [a.textContent, a.getAttribute('href'), a.rel, a.target])";
        let expected = json!([
            [
                "Logs",
                format!("https://grafana.example/explore?pod=pod-0&ns={namespace}#default"),
                "noopener noreferrer",
                "_blank"
            ],
            ["At", format!("http://a.example/{address}"), "noopener noreferrer", "_blank"],
            ["Node", "https://a.example/nowhere", "noopener noreferrer", "_blank"],
        ]);
        assert_eq!(browser.run(found).await.unwrap(), expected, "{name}");
        browser.run("document.querySelector('.links').scrollIntoView({block: 'center'})").await.unwrap();
        check(&browser, &format!("links-{name}")).await;
        browser.close().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn links_follow_the_settings_file_and_need_what_is_known_of_a_backend() {
    let folder = folder();
    let (_backend, file) = listed(&folder, "backends").await;
    let settings = |links: &str| {
        let pools = pool("a", "tcp", &file);
        format!("backendLinks: [{{name: Logs, url: 'https://a.example/{{pod}}'}}, {links}]\npools:\n{pools}")
    };
    let configured =
        Configured::start(folder, &settings("{name: Old, url: 'https://a.example/{pool}?at={address}'}"), &[]);
    let browser = Browser::start(Look::Light).await.unwrap();
    browser.open(&configured.admin.url("/")).await.unwrap();
    browser.wait_to_see(&["Old"]).await.unwrap();
    let names = "return [...document.querySelectorAll('.links a')].map(a => a.textContent)";
    assert_eq!(browser.run(names).await.unwrap(), json!(["Old"]), "a backend of a file has no pod");
    configured.change(&settings("{name: New, url: 'https://a.example/{pool}'}"));
    browser.wait_for(&format!("return JSON.stringify((() => {{{names}}})()) === '[\"New\"]'")).await.unwrap();
    browser.close().await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_events_of_a_new_process_take_the_place_of_those_of_the_old_one() {
    let mut world = World::start(2).await.unwrap();
    let browser = open(&world, Look::Light).await;
    browser.wait_to_see(&["came, ready"]).await.unwrap();
    browser.run("window.before = Date.now()").await.unwrap();
    world.ilb.kill_and_restart().unwrap();
    let new = "const times = [...document.querySelectorAll('#log time')].map(time => Date.parse(time.dateTime));
        return times.length > 2 && times.every(time => time >= before)";
    browser.wait_for(new).await.unwrap();
    browser.wait_to_see(&["ready: all pools active", "is to be served at entry point tcp"]).await.unwrap();
    browser.close().await.unwrap();
}
