// The SAML provider of the tests is a provider: another library's service provider reads what it says, in each form.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import samlify from 'samlify'
import { keyPair, start } from '../fixtures/saml_idp.mjs'

const own = 'https://gw.example/saml/corp'
const mine = keyPair('sp')
let idp, sp

before(async () => {
  idp = await start()
  sp = samlify.ServiceProvider({
    entityID: `${own}/metadata`, privateKey: mine.key, signingCert: mine.certificate, encryptCert: mine.certificate, encPrivateKey: mine.key,
    authnRequestsSigned: true, wantAssertionsSigned: true, requestSignatureAlgorithm: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    assertionConsumerService: [{ Binding: 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST', Location: `${own}/acs` }],
    singleLogoutService: ['HTTP-Redirect', 'HTTP-POST'].map((one) => ({ Binding: `urn:oasis:names:tc:SAML:2.0:bindings:${one}`, Location: `${own}/slo` })),
  })
  idp.trust(sp.getMetadata())
})
beforeEach(() => Object.assign(idp, { encrypt: false, signs: 'assertion', skewMs: 0, status: 'Success', asked: [], ended: [] }))
after(() => idp.stop())

/** The provider as its metadata of now has it. */
const theirs = () => samlify.IdentityProvider({ metadata: idp.metadata().replace('WantAuthnRequestsSigned="false"', 'WantAuthnRequestsSigned="true"'), isAssertionEncrypted: idp.encrypt !== false, wantLogoutRequestSigned: true })
const unescape = (text) => text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code))

async function form(url) {
  const response = await fetch(url, { redirect: 'manual' })
  const text = await response.text()
  assert.equal(response.status, 200, text)
  return { action: unescape(/action="([^"]*)"/.exec(text)[1]),
    ...Object.fromEntries([...text.matchAll(/name="(\w+)" value="([^"]*)"/g)].map(([, name, value]) => [name, unescape(value)])) }
}
async function signIn(relayState = 'opaque & more') {
  const asked = sp.createLoginRequest(theirs(), 'redirect', { relayState })
  return { id: asked.id, posted: await form(asked.context) }
}
const read = (posted) => sp.parseLoginResponse(theirs(), 'post', { body: posted })

test('a signed request is answered by a form with the state in it', async () => {
  const { id, posted } = await signIn()
  assert.equal(posted.action, `${own}/acs`)
  assert.equal(posted.RelayState, 'opaque & more')
  const { extract } = await read(posted)
  assert.equal(extract.nameID, 'u-1001')
  assert.equal(extract.response.inResponseTo, id)
  assert.equal(extract.attributes.email, 'alice@example.com')
  assert.equal(idp.asked.length, 1)
})

test('a request that was changed on its way is not answered', async () => {
  const asked = sp.createLoginRequest(theirs(), 'redirect', { relayState: 'one' })
  const response = await fetch(asked.context.replace('RelayState=one', 'RelayState=two'))
  assert.equal(response.status, 400)
})

test('groups are those of now', async () => {
  idp.user = { ...idp.user, groups: ['engineers', 'admins'] }
  assert.deepEqual((await read((await signIn()).posted)).extract.attributes.groups, ['engineers', 'admins'])
})

for (const cipher of ['gcm', 'cbc']) {
  test(`an assertion is encrypted with ${cipher} when told so`, async () => {
    idp.encrypt = cipher
    const { posted } = await signIn()
    const xml = Buffer.from(posted.SAMLResponse, 'base64').toString()
    assert.match(xml, /EncryptedAssertion/)
    assert.match(xml, new RegExp(`aes256-${cipher}`))
    assert.doesNotMatch(xml, /u-1001/)
  })
}

test('the response itself is signed when told so', async () => {
  const signatures = async (signs) => { idp.signs = signs; return [...Buffer.from((await signIn()).posted.SAMLResponse, 'base64').toString().matchAll(/Reference URI="#(\w)/g)].length }
  assert.equal(await signatures('assertion'), 1)
  assert.equal(await signatures('response'), 1)
  assert.equal(await signatures('both'), 2)
})

test('a rotated key signs, and both stand in the metadata', async () => {
  const before = (await signIn()).posted
  const old = theirs()
  idp.rotate()
  assert.equal([...idp.metadata().matchAll(/<ds:X509Certificate>/g)].length, 2)
  const later = (await signIn()).posted
  assert.equal((await read(before)).extract.nameID, 'u-1001')
  assert.equal((await read(later)).extract.nameID, 'u-1001')
  await assert.rejects(sp.parseLoginResponse(old, 'post', { body: later }))
})

test('a clock that is wrong shows', async () => {
  idp.skewMs = 3600_000
  const { posted } = await signIn()
  await assert.rejects(read(posted))
})

test('the provider may refuse, and may begin by itself', async () => {
  idp.status = 'AuthnFailed'
  await assert.rejects(read((await signIn()).posted))
  idp.status = 'Success'
  const posted = await form(idp.initiate('deep'))
  assert.equal(posted.RelayState, 'deep')
  const { extract } = await read(posted)
  assert.equal(extract.response.inResponseTo, undefined)
})

test('a logout goes both ways', async () => {
  const asked = sp.createLogoutRequest(theirs(), 'redirect', { logoutNameID: 'u-1001', sessionIndex: '_session-1' }, 'back')
  const answered = await fetch(asked.context, { redirect: 'manual' })
  assert.equal(answered.status, 302, await answered.text())
  const location = new URL(answered.headers.get('location'))
  assert.equal(location.origin + location.pathname, `${own}/slo`)
  assert.ok(location.searchParams.has('SAMLResponse') && location.searchParams.has('Signature'))
  assert.equal(idp.ended[0].request.nameID, 'u-1001')
  const theirsByRedirect = await fetch(idp.logout('redirect'), { redirect: 'manual' })
  assert.ok(new URL(theirsByRedirect.headers.get('location')).searchParams.has('SAMLRequest'))
  const posted = await form(idp.logout('post'))
  assert.equal(posted.action, `${own}/slo`)
  assert.match(Buffer.from(posted.SAMLRequest, 'base64').toString(), /<ds:Signature/)
})
