-- Once, as a superuser: psql -f setup.sql
CREATE ROLE shop LOGIN PASSWORD 'shop';
CREATE ROLE weir LOGIN PASSWORD 'weir';
CREATE DATABASE shop OWNER shop;
\connect shop
GRANT CREATE ON SCHEMA public TO weir; -- so that it can create the table
ALTER DEFAULT PRIVILEGES FOR ROLE weir GRANT INSERT ON TABLES TO shop; -- so that the application can write to it
