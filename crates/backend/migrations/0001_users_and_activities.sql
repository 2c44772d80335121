CREATE TABLE users (
    uuid uuid NOT NULL PRIMARY KEY,
    handle text NOT NULL UNIQUE,
    display_name text NOT NULL,
    email text NOT NULL UNIQUE,
    bio text NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE activities (
    uuid uuid NOT NULL PRIMARY KEY,
    user_uuid uuid NOT NULL REFERENCES users (uuid),
    message text NOT NULL,
    -- The message in lower case by Unicode's rules, which SQLite's lower() does not know.
    folded text NOT NULL,
    likes_count bigint NOT NULL DEFAULT 0,
    reposts_count bigint NOT NULL DEFAULT 0,
    reply_to_activity_uuid uuid REFERENCES activities (uuid) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    -- A reply's is its parent's.
    expires_at timestamptz NOT NULL
);

CREATE INDEX activities_feed ON activities (created_at DESC, uuid DESC) WHERE reply_to_activity_uuid IS NULL;
CREATE INDEX activities_by_user ON activities (user_uuid, created_at DESC, uuid DESC);
CREATE INDEX activities_by_parent ON activities (reply_to_activity_uuid, created_at DESC, uuid DESC);
