-- psql postgres://shop:shop@127.0.0.1/shop -f watch.sql
-- Pages see every change of a row of orders, and the application knows nothing of it.
CREATE TABLE IF NOT EXISTS orders (id int PRIMARY KEY, state text NOT NULL);
CREATE FUNCTION orders_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO outbox (topic, type, body) VALUES ('orders/' || NEW.id, lower(TG_OP), to_jsonb(NEW));
  RETURN NULL;
END $$;
CREATE TRIGGER changed AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION orders_changed();
