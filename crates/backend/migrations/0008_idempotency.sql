-- What was answered to a request with an `Idempotency-Key`, written with what the request did.
CREATE TABLE idempotency_keys (
    user_uuid uuid NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    key text NOT NULL,
    -- SHA-256 of what was asked.
    request_hash text NOT NULL,
    location text NOT NULL,
    answer text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (user_uuid, key)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
