// A producer by KafkaJS and avsc. Arguments: servers, topic. A line of input: schema file, fingerprint, key, record as Avro's JSON.
const { readFileSync } = require('node:fs')
const avro = require('avsc')
const { Kafka, Partitioners, logLevel } = require('kafkajs')

const [servers, topic] = process.argv.slice(2)
const types = new Map()
const typeOf = (file) => {
    if (!types.has(file)) types.set(file, avro.Type.forSchema(JSON.parse(readFileSync(file, 'utf8'))))
    return types.get(file)
}
const messages = readFileSync(0, 'utf8').split('\n').filter(Boolean).map((line) => {
    const [file, fingerprint, key, json] = line.split('\t')
    const type = typeOf(file)
    const marker = Buffer.concat([Buffer.from([0xc3, 0x01]), Buffer.from(fingerprint, 'hex').reverse()])
    return { key, value: Buffer.concat([marker, type.toBuffer(type.fromString(json))]) }
})

async function main() {
    const kafka = new Kafka({ clientId: 'kafkajs', brokers: servers.split(','), logLevel: logLevel.ERROR })
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    await producer.send({ topic, acks: -1, messages })
    await producer.disconnect()
    console.log(messages.length)
}

main()
