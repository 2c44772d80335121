-- Null where somebody signs in elsewhere, or not at all.
ALTER TABLE users ADD COLUMN password_hash text;
-- Whom an issuer of tokens means: its `iss` and `sub`, with a space between.
ALTER TABLE users ADD COLUMN subject text;

CREATE UNIQUE INDEX users_by_subject ON users (subject);
CREATE INDEX users_by_age ON users (created_at DESC, uuid DESC);

CREATE TABLE sessions (
    -- SHA-256 of the token, so that whoever reads this table has nobody's session.
    token_hash text NOT NULL PRIMARY KEY,
    user_uuid uuid NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Tokens that sign in once.
CREATE TABLE sign_in_links (
    token_hash text NOT NULL PRIMARY KEY,
    user_uuid uuid NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);

CREATE INDEX sign_in_links_by_expiry ON sign_in_links (expires_at);

-- How often something was tried that is limited, until when it counts.
CREATE TABLE attempts (
    subject_hash text NOT NULL PRIMARY KEY,
    made bigint NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX attempts_by_expiry ON attempts (expires_at);
