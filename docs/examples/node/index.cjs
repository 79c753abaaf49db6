// sendTelemetry(event, properties, orgId): anonymous usage events to a gateway of flowise-telemetry.
//
//   FLOWISE_TELEMETRY_ENDPOINT=https://telemetry.example.org  FLOWISE_TELEMETRY_PROJECT_KEY=<project key>
//
// While DISABLE_FLOWISE_TELEMETRY or DO_NOT_TRACK is set, or there is no endpoint, nothing else is loaded: no client, no
// socket, no timer. The variables are read at each call, so that switching off takes effect at once.
'use strict'

const NO = new Set(['', '0', 'false', 'no', 'off'])
const YES = new Set(['1', 'true', 'yes', 'on'])
const LOOPBACK = /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])$/
const textOf = (name) => (process.env[name] || '').trim()
const isOff = () => ['DISABLE_FLOWISE_TELEMETRY', 'DO_NOT_TRACK'].some((name) => !NO.has(textOf(name).toLowerCase()))

let client = null
let said = false

function say(text) {
    if (!said) process.stderr.write(`telemetry: ${text}\n`)
    said = true
}

// The client, made at the first event that may be sent; null while none may.
function clientNow() {
    if (isOff()) {
        if (client) client.forget()
        return null
    }
    const endpoint = textOf('FLOWISE_TELEMETRY_ENDPOINT')
    if (!endpoint || client) return client
    const key = textOf('FLOWISE_TELEMETRY_PROJECT_KEY')
    let url
    try {
        url = new URL(endpoint)
    } catch {
        url = { protocol: '' }
    }
    const inClear = url.protocol === 'http:' && (LOOPBACK.test(url.hostname) || YES.has(textOf('FLOWISE_TELEMETRY_ALLOW_HTTP').toLowerCase()))
    if (url.protocol !== 'https:' && !inClear) say('FLOWISE_TELEMETRY_ENDPOINT must be https://host; nothing is sent')
    else if (!key) say('FLOWISE_TELEMETRY_PROJECT_KEY is not set; nothing is sent')
    else client = new (require('./client.cjs').Client)(endpoint, key, say)
    return client
}

// Never throws, never waits. orgId tells organisations apart within a month: the gateway hashes it.
function sendTelemetry(event, properties, orgId) {
    try {
        const its = clientNow()
        if (its) its.add(event, properties, orgId)
    } catch {
        // telemetry must not fail its app
    }
}

// Sends what waits, in at most so many milliseconds; true if nothing is left.
async function flush(timeoutMs = 2000) {
    const its = clientNow()
    return its ? its.flush(timeoutMs) : true
}

const stats = () => (client ? { ...client.counts, waiting: client.waiting.length } : { accepted: 0, sent: 0, dropped: 0, waiting: 0 })

module.exports = { sendTelemetry, flush, stats }
