-- For the sweeper, which deletes from the earliest on.
CREATE INDEX activities_by_expiry ON activities (expires_at);
