// A browser without a screen: cookies by host and path-less name, redirects of GET and POST followed by hand, forms found by their action. Enough
// to walk a person's way through sign-in pages, and to try what a browser must not be able to do.
import http from 'node:http';
import https from 'node:https';
import fs from 'node:fs';

const unescape = text => text.replaceAll('&#39;', "'").replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

export class Browser {
  /** @param ca file with a certificate to trust beside the system's */
  constructor({ ca } = {}) { this.ca = ca; this.jars = new Map(); }
  jar(url) {
    const host = new URL(url).host;
    if (!this.jars.has(host)) this.jars.set(host, new Map());
    return this.jars.get(host);
  }
  once(method, url, { form, headers = {} } = {}) {
    const body = form ? new URLSearchParams(form).toString() : undefined;
    const cookies = [...this.jar(url)].map(([k, v]) => `${k}=${v}`).join('; ');
    const lib = url.startsWith('https:') ? https : http;
    return new Promise((resolve, reject) => {
      const request = lib.request(url, {
        method, agent: false, ...(this.ca && url.startsWith('https:') ? { ca: fs.readFileSync(this.ca) } : {}),
        headers: { accept: 'text/html', ...(cookies ? { cookie: cookies } : {}), ...(body !== undefined ? { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body), origin: new URL(url).origin } : {}), ...headers },
      }, response => {
        for (const line of response.headers['set-cookie'] ?? []) {
          const [pair, ...rest] = line.split(';');
          const at = pair.indexOf('=');
          const gone = rest.some(one => /^\s*max-age=0\s*$/i.test(one) || /^\s*expires=thu, 01 jan 1970/i.test(one));
          if (gone) this.jar(url).delete(pair.slice(0, at)); else this.jar(url).set(pair.slice(0, at), pair.slice(at + 1));
        }
        let text = '';
        response.on('data', d => { text += d; });
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: text, url }));
        response.on('error', reject);
      });
      request.on('error', reject);
      request.end(body);
    });
  }
  /** Follows redirects, at most ten; `stop` says where not to go on (the answer then has `location`). */
  async go(url, { method = 'GET', form, headers, stop = () => false } = {}) {
    let answer = await this.once(method, url, { form, headers });
    for (let hops = 0; hops < 10 && answer.status >= 300 && answer.status < 400; ++hops) {
      const next = new URL(answer.headers.location, answer.url).href;
      if (stop(next)) return { ...answer, location: next };
      answer = await this.once('GET', next);
    }
    return answer;
  }
  /** The link with this text on a page. */
  static link(page, text) {
    for (const [, href, label] of page.body.matchAll(/<a[^>]*href="([^"]*)"[^>]*>([^<]*)<\/a>/g)) if (unescape(label).includes(text)) return new URL(unescape(href), page.url).href;
    throw new Error(`no link "${text}" on ${page.url}: ${page.status} ${page.body}`);
  }
  /** The hidden fields of the n-th form that posts to `action`. */
  static form(page, action, n = 0) {
    const forms = [...page.body.matchAll(/<form[^>]*action="([^"]*)"[^>]*>(.*?)<\/form>/gs)].filter(([, to]) => new URL(unescape(to), page.url).pathname === action);
    if (!forms[n]) throw new Error(`no form to ${action} on ${page.url}: ${page.status} ${page.body}`);
    const fields = {};
    for (const [, name, value] of forms[n][2].matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)) fields[unescape(name)] = unescape(value);
    return { url: new URL(unescape(forms[n][1]), page.url).href, fields };
  }
  /** Where a page sends the browser by itself. */
  static leadsTo(page) {
    const found = /http-equiv="refresh" content="0;url=([^"]*)"/.exec(page.body);
    return found && unescape(found[1]);
  }
}
