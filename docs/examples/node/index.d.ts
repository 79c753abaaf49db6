/** A flow by the ids of its nodes; nodes may also be the flow's own objects, of which only `id` is read. */
export interface FlowGraph {
    nodes: readonly (string | { readonly id: string })[]
    edges: readonly { readonly source: string; readonly target: string }[]
}

export type Origin = 'INTERNAL' | 'EXTERNAL' | 'EVALUATION' | 'MCP' | 'SCHEDULED' | 'WEBHOOK' | 'OTHER'

export interface Events {
    assistant_created: { version: string; assistantId: string; assistantType?: 'CUSTOM' | 'OPENAI' | 'AZURE' | 'OTHER' }
    chatflow_created: { version: string; chatflowId: string; flowGraph: FlowGraph }
    prediction_sent: { version: string; chatflowId: string; chatId: string; type: Origin; flowGraph: FlowGraph }
    tool_created: { version: string; toolId: string; toolName?: string | null }
    vector_upserted: {
        version: string
        chatflowId: string
        type: Origin
        flowGraph: FlowGraph
        stopNodeId?: string | null
    }
}

export interface Stats {
    accepted: number
    sent: number
    dropped: number
    waiting: number
}

/** Accepts an event. Never throws, never waits; does nothing while telemetry is off. */
export function sendTelemetry<Name extends keyof Events>(event: Name, properties: Events[Name], orgId?: string): void

/** Sends what waits, in at most so many milliseconds (2,000); true if nothing is left. */
export function flush(timeoutMs?: number): Promise<boolean>

export function stats(): Stats
