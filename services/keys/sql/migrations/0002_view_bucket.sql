-- Which life of the KV bucket the view was written to: one that was made anew is filled from the first event again.
CREATE TABLE view_bucket (
  is_single boolean PRIMARY KEY DEFAULT true CHECK (is_single),
  created text NOT NULL
);
