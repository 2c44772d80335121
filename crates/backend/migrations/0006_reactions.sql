CREATE TABLE reactions (
    -- The crud that is liked or reposted; of a reply, the reply itself.
    activity_uuid uuid NOT NULL REFERENCES activities (uuid) ON DELETE CASCADE,
    user_uuid uuid NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    kind text NOT NULL,
    uuid uuid NOT NULL,
    -- Whose crud it is about; null where they did it themselves, of which nobody is notified.
    owner_uuid uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (activity_uuid, user_uuid, kind)
);

CREATE INDEX reactions_by_owner ON reactions (owner_uuid, created_at DESC, uuid DESC);
CREATE INDEX reactions_by_user ON reactions (user_uuid, owner_uuid);
