-- Which cruds have a word. Hashtags stand here twice, with and without their sign.
CREATE TABLE words (
    word text NOT NULL,
    created_at timestamptz NOT NULL,
    activity_uuid uuid NOT NULL REFERENCES activities (uuid) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    hashtag boolean NOT NULL,
    PRIMARY KEY (word, created_at, activity_uuid)
);

CREATE INDEX words_by_activity ON words (activity_uuid);
CREATE INDEX hashtags ON words (created_at DESC) WHERE hashtag;

ALTER TABLE activities DROP COLUMN folded;
