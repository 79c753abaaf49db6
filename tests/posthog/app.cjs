// The app's calls of posthog-node, as Flowise makes them. Arguments: how many events, of how many organisations.
const { PostHog } = require('posthog-node')

const ID = '0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab'
const [events, organisations] = process.argv.slice(2).map(Number)
const postHog = new PostHog(process.env.POSTHOG_PUBLIC_API_KEY)

const calls = [
    ['chatflow_created', { chatflowId: ID, flowGraph: { nodes: ['chatOpenAI_0'], edges: [] }, productId: 'p', subscriptionId: 's' }],
    ['prediction_sent', { chatflowId: ID, chatId: ID, type: 'INTERNAL', flowGraph: { nodes: ['chatOpenAI_0', 'llmChain_0'], edges: [{ source: 'chatOpenAI_0', target: 'llmChain_0' }] } }],
    ['prediction_sent', { chatflowId: ID, chatId: ID, type: 'EVALUATION', flowGraph: { nodes: [], edges: [] } }],
    ['vector_upserted', { chatlowId: ID, type: 'INTERNAL', flowGraph: { numAdded: 3, numUpdated: 0 } }],
    ['vector_upserted', { chatlowId: ID, type: 'EXTERNAL', flowGraph: { nodes: ['pinecone_0'], edges: [] }, stopNodeId: '' }],
    ['tool_created', { toolId: ID, toolName: 'Ask Jane of accounting' }],
    ['assistant_created', { assistantId: ID }]
]

for (let number = 0; number < events; number++) {
    const [event, properties] = calls[number % calls.length]
    postHog.capture({ event, distinctId: `organisation-${number % organisations}`, properties: { ...properties, version: '3.0.1' } })
}
if (events) postHog.capture({ event: 'user_created', distinctId: 'a-person', properties: { version: '3.0.1', userId: 'a-person' } })
const ended = postHog.shutdownAsync ? postHog.shutdownAsync() : postHog.shutdown()
ended.then(() => console.log('ended'))
