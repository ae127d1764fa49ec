//! Pure logic and views: no privilege, no process, no clock.

mod bridge;
mod collector;
mod definitions;
mod device;
mod device_tree;
mod doctor;
mod firewall;
mod guest_form;
mod legacy;
mod models;
mod network;
mod network_edit;
mod new_guest;
mod owners;
mod packets;
mod path;
mod path_box;
mod plan;
mod rates;
mod registry;
mod replay;
mod shim;
mod splice;
mod update;
mod view;
mod waiting;
