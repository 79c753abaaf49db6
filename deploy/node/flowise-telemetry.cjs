// Points an app that makes `new PostHog(key)` at a gateway, and gives its users back their opt-out.
//
//   NODE_OPTIONS="--require /path/to/flowise-telemetry.cjs" FLOWISE_TELEMETRY_ENDPOINT=https://telemetry.example.org
//
// posthog-node sends to PostHog's own host where it is given none. With this file loaded it sends to the gateway
// instead; a host that the app gives stays. While DISABLE_FLOWISE_TELEMETRY or DO_NOT_TRACK is set, every client is one
// that sends nothing to anyone and opens no socket. Nothing else of the app, or of posthog-node, is changed. It works
// on what is loaded by require(), as in CommonJS; an ES module that imports posthog-node is not reached.
'use strict'

const Module = require('module')

const NO = new Set(['', '0', 'false', 'no', 'off'])
const isSet = (name) => !NO.has((process.env[name] || '').trim().toLowerCase())
const optedOut = () => isSet('DISABLE_FLOWISE_TELEMETRY') || isSet('DO_NOT_TRACK')

// What a client without a network is answered: success, so that nothing is tried again.
const answer = () => ({ status: 200, ok: true, headers: new Map(), body: null, text: async () => '{}', json: async () => ({}) })

function optionsOf(given) {
    const options = { ...given }
    if (optedOut()) {
        delete options.personalApiKey // with it, feature flags are polled
        return { ...options, enable: false, disabled: true, fetch: async () => answer() }
    }
    const endpoint = (process.env.FLOWISE_TELEMETRY_ENDPOINT || '').trim()
    if (endpoint && !options.host) options.host = endpoint.replace(/\/+$/, '')
    return options
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
