-- A conversation of two. Its id is made of theirs, so that two who write to each other at the same time begin one.
CREATE TABLE message_groups (
    uuid uuid NOT NULL PRIMARY KEY,
    latest_at timestamptz NOT NULL
);

CREATE TABLE messages (
    uuid uuid NOT NULL PRIMARY KEY,
    message_group_uuid uuid NOT NULL REFERENCES message_groups (uuid) ON DELETE CASCADE,
    user_uuid uuid NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    message text NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE INDEX messages_by_group ON messages (message_group_uuid, created_at DESC, uuid DESC);

-- What each of the two sees of it in their list.
CREATE TABLE message_group_members (
    user_uuid uuid NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    message_group_uuid uuid NOT NULL REFERENCES message_groups (uuid) ON DELETE CASCADE,
    other_uuid uuid NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    latest_at timestamptz NOT NULL,
    latest_uuid uuid NOT NULL REFERENCES messages (uuid) ON DELETE CASCADE,
    PRIMARY KEY (user_uuid, message_group_uuid)
);

CREATE INDEX message_group_members_by_age ON message_group_members (user_uuid, latest_at DESC, message_group_uuid DESC);
