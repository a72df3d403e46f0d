// Debian's Chromium without a window, driven over the DevTools protocol. A missing browser is a failure of the test.
import fs from 'node:fs';
import { folder, start } from './gateway.mjs';

/** One page. Events of its workers count as its own. */
export class Chromium {
  /** @param options.args more switches */
  static async start(options = {}) {
    const browser = new Chromium();
    browser.child = start('chromium', ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--remote-debugging-port=0', `--user-data-dir=${folder('sallyport-chromium-')}`, ...(options.args ?? []), 'about:blank'],
    { env: { ...process.env, DBUS_SESSION_BUS_ADDRESS: 'disabled:' } });
    browser.child.once('error', () => {});  // a browser that cannot start has no exit; told() below says why
    const url = await told(browser.child);
    browser.socket = new WebSocket(url);
    await new Promise((resolve, reject) => { browser.socket.onopen = resolve; browser.socket.onerror = () => reject(new Error(`no DevTools at ${url}`)); });
    browser.socket.onmessage = ({ data }) => browser.#take(JSON.parse(data));
    browser.socket.onclose = () => browser.#end(new Error(`the browser ended: ${browser.child.errors.slice(-2000)}`));
    const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' }, null);
    browser.session = (await browser.send('Target.attachToTarget', { targetId, flatten: true }, null)).sessionId;
    await browser.#watch(browser.session);
    await browser.send('Page.enable');
    return browser;
  }

  requests = [];    // every URL that the page and its workers asked for
  messages = [];    // console messages, uncaught errors and what the policy refused
  #waiting = new Map();
  #listeners = new Set();
  #next = 1;

  send(method, params = {}, session = this.session) {
    const id = this.#next++;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject, method }));
    this.socket.send(JSON.stringify({ id, method, params, ...(session ? { sessionId: session } : {}) }));
    return answer;
  }
  /** The next event that `wanted` takes. */
  event(method, wanted = () => true) {
    return new Promise((resolve, reject) => {
      const listener = { take: event => { if (event.method === method && wanted(event.params)) { this.#listeners.delete(listener); resolve(event.params); } }, reject };
      this.#listeners.add(listener);
    });
  }
  async #watch(session) {
    await Promise.all([this.send('Network.enable', {}, session), this.send('Runtime.enable', {}, session), this.send('Log.enable', {}, session).catch(() => {}),
      this.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: true, flatten: true }, session)]);
  }
  #take(message) {
    const waiting = this.#waiting.get(message.id);
    if (waiting) {
      this.#waiting.delete(message.id);
      if (message.error) waiting.reject(new Error(`${waiting.method}: ${message.error.message}`));
      else waiting.resolve(message.result);
      return;
    }
    const { method, params } = message;
    if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url);
    if (method === 'Network.webSocketCreated') this.requests.push(params.url);
    if (method === 'Runtime.exceptionThrown') this.messages.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === 'Runtime.consoleAPICalled') this.messages.push(params.args.map(arg => arg.value ?? arg.description).join(' '));
    if (method === 'Log.entryAdded') this.messages.push(params.entry.text);
    // A worker waits until it is watched, so that nothing it asks for is missed. One that ended meanwhile is nothing to us.
    if (method === 'Target.attachedToTarget') this.#watch(params.sessionId).then(() => this.send('Runtime.runIfWaitingForDebugger', {}, params.sessionId)).catch(() => {});
    for (const listener of [...this.#listeners]) listener.take(message);
  }
  #end(error) {
    for (const { reject } of [...this.#waiting.values(), ...this.#listeners]) reject(error);
    this.#waiting.clear();
    this.#listeners.clear();
  }

  async navigate(url) {
    const loaded = this.event('Page.loadEventFired');
    const { errorText } = await this.send('Page.navigate', { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
    await loaded;
  }
  /** The value of an expression of the page; of a promise, what it resolves to. */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }
  /** Waits for a change of the document that makes the expression true, and gives its value. */
  async until(expression, ms = 20_000) {
    const { found, text } = await this.evaluate(`new Promise(resolve => {
      const look = () => { const found = (${expression}); if (found) { observer.disconnect(); clearTimeout(timer); resolve({ found }); } };
      const observer = new MutationObserver(look);
      const timer = setTimeout(() => { observer.disconnect(); resolve({ text: document.body.innerText }); }, ${ms});
      observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
      look();
    })`);
    if (!found) throw new Error(`never came: ${expression}\n${text}\n${this.messages.join('\n')}`);
    return found;
  }
  /** Replaces what a field holds, as typing does. */
  async type(selector, text) {
    await this.evaluate(`{ const field = document.querySelector(${JSON.stringify(selector)}); field.focus(); field.select(); field.value && document.execCommand('delete'); }`);
    await this.send('Input.insertText', { text });
  }
  click(selector) { return this.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`); }
  /** Chooses a file in <input type=file>. */
  async setFile(selector, file) {
    const { root } = await this.send('DOM.getDocument');
    const { nodeId } = await this.send('DOM.querySelector', { nodeId: root.nodeId, selector });
    await this.send('DOM.setFileInputFiles', { files: [].concat(file), nodeId });
  }
  async screenshot(file) {
    const { data } = await this.send('Page.captureScreenshot', { captureBeyondViewport: true });
    const bytes = Buffer.from(data, 'base64');
    if (file) fs.writeFileSync(file, bytes);
    return bytes;
  }
  async stop() {
    const ended = new Promise(resolve => { if (this.child.exitCode !== null || this.child.signalCode) resolve(); else this.child.once('exit', resolve); });
    this.socket.onclose = null;
    this.send('Browser.close', {}, null).catch(() => {});
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 5000);
    await ended;
    clearTimeout(timer);
    this.#end(new Error('the browser was stopped'));
  }
}

/** The address of the DevTools, which the browser says on stderr. */
function told(child, ms = 30_000) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`chromium did not start: ${child.errors}`)), ms);
    const look = () => { const found = /DevTools listening on (ws:\S+)/.exec(child.errors); if (found) { clearTimeout(timer); child.stderr.off('data', look); resolve(found[1]); } };
    child.stderr.on('data', look);
    child.once('error', error => { clearTimeout(timer); reject(new Error(`chromium is needed: ${error.message}`)); });
    child.once('exit', code => { clearTimeout(timer); reject(new Error(`chromium ended with ${code}: ${child.errors}`)); });
  });
}
