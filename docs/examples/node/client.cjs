// The client behind sendTelemetry: a bounded queue, one request at a time by Node's own fetch, retries with a pause.
'use strict'

const { randomBytes, randomUUID } = require('node:crypto')
const EVENTS = require('./events.json')

const MAX_WAITING_EVENTS = 1000
const BATCH_EVENTS = 100
const SEND_AT_EVENTS = 20
const SEND_AFTER_MS = 10_000
const REQUEST_MS = 10_000
const FIRST_PAUSE_MS = 5_000
const LONGEST_PAUSE_MS = 300_000
const REVOKED_PAUSE_MS = 3_600_000
const RETRIED = new Set([408, 429])

// RFC 9562, section 5.7. Kept through every retry: the gateway makes it the event's id, so that none is there twice.
function uuid7(ms) {
    const b = randomBytes(16)
    b.writeUIntBE(ms, 0, 6)
    b[6] = 0x70 | (b[6] & 15)
    b[8] = 0x80 | (b[8] & 63)
    return b.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

const isText = (value) => typeof value === 'string' && value.length <= 200

// Ids and edges alone: prompts and settings of a flow never leave the process.
function graphOf(graph) {
    const idOf = (node) => (node && typeof node === 'object' ? node.id : node)
    const nodes = (Array.isArray(graph?.nodes) ? graph.nodes : []).map(idOf).filter(isText)
    const edges = (Array.isArray(graph?.edges) ? graph.edges : []).filter((edge) => isText(edge?.source) && isText(edge?.target))
    return { nodes, edges: edges.map(({ source, target }) => ({ source, target })) }
}

// What the schemas name of an event's properties, no more; null for an event that they do not name.
function keptOf(event, properties) {
    const names = Object.hasOwn(EVENTS, event) ? EVENTS[event] : null
    if (!names || !properties || typeof properties !== 'object') return null
    const kept = {}
    for (const name of names) {
        const value = name === 'chatflowId' ? (properties.chatflowId ?? properties.chatlowId) : properties[name]
        if (name === 'flowGraph') kept.flowGraph = graphOf(value)
        else if (isText(value)) kept[name] = value
    }
    return kept
}

class Client {
    constructor(endpoint, key, say) {
        this.url = endpoint.replace(/\/+$/, '') + '/batch/'
        this.key = key
        this.say = say
        this.waiting = []
        this.counts = { accepted: 0, sent: 0, dropped: 0 }
        this.nobody = randomUUID() // stands for an organisation where there is none, for as long as the process lives
        this.timer = null
        this.sending = null
        this.heldUntil = 0
        this.pauseMs = FIRST_PAUSE_MS
    }

    add(event, properties, orgId) {
        const kept = keptOf(event, properties)
        if (!kept || this.waiting.length >= MAX_WAITING_EVENTS) {
            this.counts.dropped++
            return
        }
        const now = Date.now()
        const sender = typeof orgId === 'string' && orgId ? orgId : this.nobody
        this.counts.accepted++
        this.waiting.push({ event, distinct_id: sender, properties: kept, timestamp: new Date(now).toISOString(), uuid: uuid7(now) })
        this.later(this.waiting.length >= SEND_AT_EVENTS ? 0 : SEND_AFTER_MS)
    }

    // Drops what waits: telemetry was switched off.
    forget() {
        clearTimeout(this.timer)
        this.timer = null
        this.counts.dropped += this.waiting.length
        this.waiting = []
    }

    later(ms) {
        if (this.sending || (this.timer && ms)) return
        clearTimeout(this.timer)
        this.timer = setTimeout(() => this.send(), Math.max(ms, this.heldUntil - Date.now()))
        this.timer.unref() // an app may end while events wait; flush() before that
    }

    async flush(timeoutMs) {
        let timer
        const late = new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)))
        await Promise.race([this.send(), late])
        clearTimeout(timer)
        return this.waiting.length === 0
    }

    send() {
        clearTimeout(this.timer)
        this.timer = null
        this.sending ??= this.sendAll().finally(() => {
            this.sending = null
            if (this.waiting.length) this.later(SEND_AFTER_MS)
        })
        return this.sending
    }

    async sendAll() {
        let most = BATCH_EVENTS
        while (this.waiting.length && Date.now() >= this.heldUntil) {
            const batch = this.waiting.slice(0, most)
            const verdict = await this.post(batch)
            if (verdict === 'large' && batch.length > 1) {
                most = Math.ceil(batch.length / 2)
            } else if (verdict !== 'later') {
                const left = this.waiting.filter((event) => !batch.includes(event))
                this.counts[verdict === 'sent' ? 'sent' : 'dropped'] += this.waiting.length - left.length
                this.waiting = left
                this.pauseMs = FIRST_PAUSE_MS
            }
        }
    }

    // 'sent', 'large', 'refused', or 'later': then it is known from when on.
    async post(batch) {
        let pauseMs = this.pauseMs
        try {
            const answer = await fetch(this.url, {
                method: 'POST',
                redirect: 'manual',
                headers: { 'content-type': 'application/json' },
                body: JSON.stringify({ api_key: this.key, batch }),
                signal: AbortSignal.timeout(REQUEST_MS)
            })
            const said = await answer.json() // anything else comes from something that is no gateway, such as a captive portal
            if (answer.status === 200 && said.status === 1) return 'sent'
            if (answer.status === 401 || answer.status === 403) {
                this.say('the gateway does not take the project key; events wait')
                pauseMs = REVOKED_PAUSE_MS
            } else if (answer.status === 413) {
                return 'large'
            } else if (answer.status >= 400 && answer.status < 500 && !RETRIED.has(answer.status) && said.error) {
                return 'refused'
            }
            pauseMs = Math.max(pauseMs, Number(answer.headers.get('retry-after')) * 1000 || 0)
        } catch {
            // no answer: the events come again with the same ids
        }
        this.heldUntil = Date.now() + pauseMs
        this.pauseMs = Math.min(2 * this.pauseMs, LONGEST_PAUSE_MS)
        return 'later'
    }
}

module.exports = { Client }
