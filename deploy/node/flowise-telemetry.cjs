// Points an app that makes `new PostHog(key)` at a gateway, and gives its users back their opt-out.
//
//   NODE_OPTIONS="--require /path/to/flowise-telemetry.cjs" FLOWISE_TELEMETRY_ENDPOINT=https://telemetry.example.org
//
// posthog-node sends to PostHog's own host where it is given none. With this file loaded it sends to the gateway
// instead; a host that the app gives stays. The project key goes with each request, so an endpoint of http:// is taken
// on this machine alone, or with FLOWISE_TELEMETRY_ALLOW_HTTP=true; at any other the clients send nothing, and one line
// on stderr says so. While DISABLE_FLOWISE_TELEMETRY or DO_NOT_TRACK is set, every client is one that sends nothing to
// anyone and opens no socket. Nothing else of the app, or of posthog-node, is changed. It works on what is loaded by
// require(), as in CommonJS; an ES module that imports posthog-node is not reached.
'use strict'

const Module = require('module')

const NO = new Set(['', '0', 'false', 'no', 'off'])
const YES = new Set(['1', 'true', 'yes', 'on'])
const LOOPBACK = /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])$/
const textOf = (name) => (process.env[name] || '').trim()
const isSet = (name) => !NO.has(textOf(name).toLowerCase())
const optedOut = () => isSet('DISABLE_FLOWISE_TELEMETRY') || isSet('DO_NOT_TRACK')

// What a client without a network is answered: success, so that nothing is tried again.
const answer = () => ({ status: 200, ok: true, headers: new Map(), body: null, text: async () => '{}', json: async () => ({}) })

// Why nothing may be sent to an endpoint; an empty text where it may.
function refusal(endpoint) {
    let url
    try {
        url = new URL(endpoint)
    } catch {
        return 'is no address of a gateway: give https://host'
    }
    if (url.protocol === 'https:') return ''
    if (url.protocol !== 'http:') return 'is no address of a gateway: give https://host'
    const inClear = LOOPBACK.test(url.hostname) || YES.has(textOf('FLOWISE_TELEMETRY_ALLOW_HTTP').toLowerCase())
    return inClear ? '' : 'would send the project key in clear: give https://, or set FLOWISE_TELEMETRY_ALLOW_HTTP=true'
}

let said = false

function silent(options) {
    delete options.personalApiKey // with it, feature flags are polled
    return { ...options, enable: false, disabled: true, fetch: async () => answer() }
}

function optionsOf(given) {
    const options = { ...given }
    if (optedOut()) return silent(options)
    const endpoint = textOf('FLOWISE_TELEMETRY_ENDPOINT')
    if (!endpoint || options.host) return options
    const why = refusal(endpoint)
    if (why) {
        if (!said) process.stderr.write(`telemetry: FLOWISE_TELEMETRY_ENDPOINT ${why}; nothing is sent\n`)
        said = true
        return silent(options)
    }
    return { ...options, host: endpoint.replace(/\/+$/, '') }
}

const pointed = new WeakMap()

function withPointedClient(exported) {
    if (!exported || typeof exported.PostHog !== 'function') return exported
    if (!pointed.has(exported)) {
        const PostHog = new Proxy(exported.PostHog, {
            construct: (target, [key, options, ...rest], made) =>
                Reflect.construct(target, [key, optionsOf(options), ...rest], made)
        })
        const own = Object.getOwnPropertyDescriptors(exported)
        for (const name of Object.keys(own)) {
            if (exported[name] === exported.PostHog) own[name] = { value: PostHog, enumerable: true, configurable: true, writable: true }
        }
        pointed.set(exported, Object.create(Object.getPrototypeOf(exported), own))
    }
    return pointed.get(exported)
}

const load = Module._load
Module._load = function (request) {
    const exported = load.apply(this, arguments)
    return request === 'posthog-node' ? withPointedClient(exported) : exported
}
