// RPC clients of the desks: what a listener's page does not load.
import { createClient } from '@connectrpc/connect';
import { ChannelService } from '../gen/ovation/v1/channel_pb';
import { LedgerService } from '../gen/ovation/v1/ledger_pb';
import { OpsService } from '../gen/ovation/v1/ops_pb';
import { PaymentService } from '../gen/ovation/v1/payment_pb';
import { RecordingService } from '../gen/ovation/v1/recording_pb';
import { transport } from './api.svelte';

export const ledger = createClient(LedgerService, transport);
export const payments = createClient(PaymentService, transport);
export const channels = createClient(ChannelService, transport);
export const ops = createClient(OpsService, transport);
export const recordings = createClient(RecordingService, transport);
