// The shapes of docs/api.md, for editors and type checkers; browsers never load this file.

/**
 * @typedef {object} Session
 * @property {string} name
 * @property {string[]} scopes
 *
 * @typedef {object} Model
 * @property {string} name
 * @property {number | string} parameters
 * @property {number} context
 * @property {string[]} quantisations
 * @property {boolean} gated
 *
 * @typedef {object} Catalog
 * @property {string[]} providers
 * @property {Model[]} models
 * @property {{provider: string, name: string, gpu: string, gpu_count: number, gpu_memory_gib: number, regions: string[]}[]} instance_types
 *
 * @typedef {object} Offer
 * @property {string} provider
 * @property {string} region
 * @property {string} zone
 * @property {string} instance_type
 * @property {string} gpu
 * @property {boolean} spot
 * @property {number} price
 * @property {string} source
 * @property {string | null} [seen]
 * @property {number | null} [max_model_len]
 * @property {number | null} [gpu_memory_gib]
 * @property {number | null} [needed_gib]
 * @property {string[]} [notes]
 *
 * @typedef {object} Failure
 * @property {string} kind
 * @property {string} code
 * @property {string} [stage]
 * @property {string} [resource]
 * @property {string} message
 * @property {string} hint
 * @property {string[]} log
 *
 * @typedef {object} Attempt
 * @property {number} number
 * @property {Offer} offer
 * @property {"skipped" | "running" | "succeeded" | "failed"} state
 * @property {string | null} [reason]
 * @property {string | null} started_at
 * @property {string | null} ended_at
 * @property {Failure | null} error
 *
 * @typedef {object} Span
 * @property {string} stage
 * @property {string} started_at
 * @property {string | null} ended_at
 *
 * @typedef {object} LaunchRequest
 * @property {string} model_name
 * @property {string | null} [provider]
 * @property {string | null} [region]
 * @property {string | null} [instance_type]
 * @property {string} [market]
 * @property {number | null} [max_price]
 * @property {number | null} [max_model_len]
 * @property {number | null} [idle_minutes]
 * @property {number | null} [lifetime_hours]
 * @property {boolean} [keep]
 *
 * @typedef {object} Launch
 * @property {string} job_id
 * @property {string} model_name
 * @property {LaunchRequest} request
 * @property {"queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled"} status
 * @property {string} stage
 * @property {number} percentage
 * @property {string} message
 * @property {number | null} waiting_before
 * @property {string} created_at
 * @property {string | null} started_at
 * @property {string | null} ended_at
 * @property {number | null} estimated_seconds_left
 * @property {number} [event_id]
 * @property {Span[]} [timeline]
 * @property {Attempt[]} [attempts]
 * @property {Failure | null} error
 * @property {number} cost_so_far
 * @property {LiveNode | null} node
 *
 * @typedef {object} LiveNode
 * @property {string} id
 * @property {string} job_id
 * @property {string} model
 * @property {string} endpoint
 * @property {string} provider
 * @property {string} region
 * @property {string} zone
 * @property {string} instance_type
 * @property {string} gpu
 * @property {boolean} spot
 * @property {number} price_per_hour
 * @property {number} cost_so_far
 * @property {"healthy" | "unhealthy" | "interrupted" | "evicted" | "terminating" | "gone"} state
 * @property {string} state_reason
 * @property {string} registered_at
 * @property {string | null} last_healthy_at
 * @property {string} expires_at
 * @property {number | null} idle_minutes
 * @property {string | null} idle_since
 * @property {string | null} ended_at
 * @property {Interruption | null} [interruption]
 * @property {{node_id: string, seconds_without_endpoint: number} | null} [replaces]
 *
 * @typedef {object} Interruption
 * @property {string} since
 * @property {string | null} relaunch_job_id
 * @property {string | null} restored_at
 * @property {number | null} seconds_without_endpoint
 *
 * @typedef {object} Access
 * @property {string} endpoint
 * @property {string} model
 * @property {string} api_key
 * @property {string} certificate
 * @property {string} curl
 * @property {string} python
 *
 * @typedef {object} LogLines
 * @property {"engine" | "node"} source
 * @property {string[]} lines
 * @property {string} at
 *
 * @typedef {object} LaunchEvent
 * @property {number} id
 * @property {"status" | "note" | "attempt" | "launch" | "log" | "end"} type
 * @property {any} data
 */

export {};
