// An MCP client's OAuth side and the person in front of it: what the SDKs keep of a sign-in, and the walk through provider and consent page.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import assert from 'node:assert/strict';
import net from 'node:net';
import { Browser } from './browser.mjs';

/** A port that is free now. */
export async function freePort() {
  const server = net.createServer();
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise(resolve => server.close(resolve));
  return port;
}

/** OAuthClientProvider of both SDKs. */
export class Keeper {
  constructor({ redirect = 'http://127.0.0.1:9/callback', information, documentUrl, name = 'A client' } = {}) {
    Object.assign(this, { redirectUrl: redirect, information, clientMetadataUrl: documentUrl });
    this.clientMetadata = { redirect_uris: [redirect], client_name: name, grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], token_endpoint_auth_method: 'none' };
  }
  state() { return (this.st ??= randomUUID()); }
  clientInformation() { return this.information; }
  saveClientInformation(information) { this.information = information; }
  tokens() { return this.kept; }
  saveTokens(tokens) { this.kept = tokens; }
  redirectToAuthorization(url) { this.authorizationUrl = url.href ?? String(url); }
  saveDiscoveryState(state) { this.discovered = state; }
  discoveryState() { return this.discovered; }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  codeVerifier() { return this.verifier; }
}

/** The person opens the address, comes by the provider, and answers the page. What the program gets: its callback's parameters, and the page. */
export async function walk(visitor, url, { provider = 'corp', yes = true, look } = {}) {
  const choice = await visitor.go(url);
  if (choice.status !== 200 || !choice.body.includes('Continue with')) return { page: choice };
  const page = await visitor.go(Browser.link(choice, provider));
  look?.(page);
  if (page.status !== 200 || !page.body.includes('/auth/confirm')) return { page };
  const { url: to, fields } = Browser.form(page, '/auth/confirm', yes ? 0 : 1);
  const done = await visitor.go(to, { method: 'POST', form: fields });
  const back = Browser.leadsTo(done);
  return { page, done, back, answer: back ? Object.fromEntries(new URL(back).searchParams) : undefined };
}

/** A client by hand: PKCE, authorize(), and the token endpoint. */
export class RawClient {
  constructor(gateway, { id, redirect = 'http://127.0.0.1:9/callback', resource, scope } = {}) {
    Object.assign(this, { gateway, id, redirect, resource, scope });
    this.verifier = randomBytes(32).toString('base64url');
  }
  url(more = {}) {
    const query = { response_type: 'code', client_id: this.id, redirect_uri: this.redirect, state: 'st', resource: this.resource, code_challenge: createHash('sha256').update(this.verifier).digest('base64url'),
      code_challenge_method: 'S256', ...(this.scope ? { scope: this.scope } : {}), ...more };
    return `${this.gateway.adminUrl}/oauth/authorize?${new URLSearchParams(Object.entries(query).filter(([, v]) => v !== undefined))}`;
  }
  async post(path, form, headers = {}) {
    const answer = await this.gateway.http('POST', this.gateway.adminUrl + path, { headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers }, body: new URLSearchParams(form).toString() });
    return { status: answer.status, ...JSON.parse(answer.body) };
  }
  token(form, headers) { return this.post('/oauth/token', { client_id: this.id, ...form }, headers); }
  exchange(code, more = {}) { return this.token({ grant_type: 'authorization_code', code, redirect_uri: this.redirect, code_verifier: this.verifier, ...more }); }
  refresh(token, more = {}) { return this.token({ grant_type: 'refresh_token', refresh_token: token, ...more }); }
  async tokens(visitor, more) {
    const { answer, page } = await walk(visitor, this.url(more));
    assert.ok(answer?.code, page.body);
    const out = await this.exchange(answer.code);
    assert.equal(out.status, 200, JSON.stringify(out));
    return out;
  }
}
