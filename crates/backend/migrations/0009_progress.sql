-- How far work that takes several transactions has come. `words`: the cruds up to this one have been indexed, or all of them where it is null.
-- `swept`: the moment before which expired rows may be deleted, wherever a backend's own clock stands.
CREATE TABLE progress (
    name text NOT NULL PRIMARY KEY,
    reached_at timestamptz,
    reached_uuid uuid
);

-- The sweeper takes the rows of one expiry in the order of their ids.
DROP INDEX activities_by_expiry;
CREATE INDEX activities_by_expiry ON activities (expires_at, uuid);
